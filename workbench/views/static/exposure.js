// The exposure view's page. One price axis for everything: volume profile, exposure by strike, net gamma at other spots, and the
// heat map of the session. Two canvases: one is painted when data or the view change, the other holds the crosshair.
// The server sends a `board` every few seconds; of the heat map only what is new.

const SELECTS = [
  ["n_expiries", "Expiries", "How many of the nearest expiry dates are read", [[1, "1"], [2, "2"], [3, "3"], [5, "5"], [8, "8"], [12, "12"]]],
  ["unit", "Unit", "What gamma exposure is counted in", null],
  ["sign", "Dealers", "Who holds what: an assumption, printed below", null],
  ["basis", "Size", "What counts as open", null],
  ["stickiness", "Sticky", "What keeps its volatility when the spot moves: the strike, or the distance from the spot", null],
  ["charm_days", "Charm day", "Charm per calendar day or per trading day", [[365, "calendar"], [252, "trading"]]],
  ["hours", "Profile", "Hours of the volume profile", null],
]
const BARS = {gex: ["call_gex", "put_gex", "net_gex"], vex: [null, null, "vex"], cex: [null, null, "cex"]}
const TABS = [["gex", "Gamma", "Gamma exposure by strike"], ["vex", "Vanna", "Vanna exposure by strike"], ["cex", "Charm", "Charm exposure by strike"]]
const COMPACT = 1000, NARROW = 620  // pixels: below the first, figures stand in rows; below the second, the heat map takes turns with the bars
const LEVELS = [["call_wall", "call wall", "up", 0], ["put_wall", "put wall", "down", 1], ["magnet", "magnet", "study2", 1], ["flip", "zero gamma", "warning", 0]]
const HEAD = 22, FOOT = 20, AXIS = 66, FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, Ubuntu, "Liberation Sans", Arial, sans-serif'

export function render({model, view}) {
  const page = new Exposure(model)
  const document = view?.model?.document
  document?.on_event?.("connection_lost", () => page.root.classList.add("lost"))
  document?.on_event?.("client_reconnected", () => page.root.classList.remove("lost"))
  model.on("lifecycle:remove", () => page.remove())
  return page.root
}

class Exposure {
  constructor(model) {
    this.model = model
    this.kind = "gex"
    this.isDocked = !Object.keys(model.colours).length   // in a column of the desk: colours and symbol are the desk's
    this.board = null
    this.heat = {strikes: [], columns: []}
    this.view = null                 // [low, high] chosen by hand; null: as the server says
    this.build()
    this.colour()
    this.controls()
    model.on("chosen", () => { this.controls(); this.forget() })
    model.on("colours", () => { this.colour(); this.paint() })
    model.on("msg:custom", (event) => this.told(event?.data ?? event))
    this.onLook = () => { this.tones = null; this.paint() }
    window.addEventListener("workbench:look", this.onLook)
    this.onVisible = () => this.sayShown()
    document.addEventListener("visibilitychange", this.onVisible)
    this.sizes = new ResizeObserver(() => { this.paint(); this.sayShown() })
    this.sizes.observe(this.plot)
    this.seen = new IntersectionObserver(() => this.sayShown())
    this.seen.observe(this.plot)
    this.shown = document.visibilityState === "visible"
    if (this.shown) model.send_msg({do: "ready"})
    const pages = (window.__workbench ??= {charts: []})
    pages.exposure = this
  }

  remove() {
    window.removeEventListener("workbench:look", this.onLook)
    document.removeEventListener("visibilitychange", this.onVisible)
    this.sizes.disconnect()
    this.seen.disconnect()
  }

  sayShown() {
    const shown = document.visibilityState === "visible" && this.plot.clientWidth > 0
    if (shown === this.shown || !this.root.isConnected) return   // off the page: the server knows, and the model is no more
    this.shown = shown
    this.model.send_msg({do: "shown", value: shown})
  }

  // -- what stands on the page ----------------------------------------------------------------------------------------------------

  build() {
    this.root = node("div", `ex${this.isDocked ? " docked" : ""}`)
    node("div", "gone", this.root, "Connection lost. What is shown is old; it is being rebuilt.")
    const bar = node("div", "bar", this.root)
    const form = node("form", "", bar)
    this.input = node("input", "", form)
    Object.assign(this.input, {spellcheck: false, autocomplete: "off", ariaLabel: "Symbol", title: "Underlying, for example SPY"})
    form.addEventListener("submit", (e) => {
      e.preventDefault()
      if (this.input.value.trim()) this.model.send_msg({do: "symbol", value: this.input.value.trim()})
      this.input.blur()
    })
    this.selects = {}
    for (const [name, label, title, fixed] of SELECTS) {
      const box = node("label", name === "n_expiries" ? "" : "more", bar, label)
      box.title = title
      const select = this.selects[name] = node("select", "", box)
      select.name = name
      for (const [value, text] of fixed ?? this.model.offered[name] ?? []) node("option", "", select, text).value = value
      select.addEventListener("change", () => { this.model.send_msg({do: "choose", name, value: select.value}); select.blur() })
    }
    this.opener = node("button", "opener", bar, "Assumptions")
    this.opener.title = "Unit, who holds what, what counts as open, hours of the profile"
    this.opener.addEventListener("click", () => { this.opener.classList.toggle("on", bar.classList.toggle("open")); this.opener.blur() })
    node("span", "push", bar)
    this.mode = node("span", "mode", bar)
    this.when = node("span", "when", bar)
    if (!this.isDocked) {
      const look = node("button", "", bar, "◐")
      look.title = "Dark or light"
      look.addEventListener("click", () => this.model.send_msg({do: "theme"}))
    }
    this.stats = node("div", "stats", this.root)
    this.plot = node("div", "plot", this.root)
    this.base = node("canvas", "base", this.plot)
    this.over = node("canvas", "over", this.plot)
    this.tip = node("div", "tip", this.plot)
    this.status = node("div", "status on wait", this.plot)
    this.sentence = node("div", "", this.status, "Waiting for the first chain…")
    this.foot = node("div", "foot", this.root)
    this.table = node("table", "", this.foot)
    this.words = node("dl", "words", this.foot)
    this.over.addEventListener("pointermove", (e) => this.moved(e))
    this.over.addEventListener("pointerleave", () => { this.cursor = null; this.cross() })
    this.over.addEventListener("pointerdown", (e) => this.pressed(e))
    this.over.addEventListener("pointerup", () => { this.drag = null })
    this.over.addEventListener("dblclick", () => { this.view = null; this.paint() })
    this.over.addEventListener("wheel", (e) => this.wheeled(e), {passive: false})
  }

  colour() {
    this.tones = null
    for (const [name, value] of Object.entries(this.model.colours)) document.documentElement.style.setProperty(`--wb-${name.replaceAll("_", "-")}`, value)
    if (this.model.colours.background) { document.body.style.background = this.model.colours.background; document.documentElement.style.colorScheme = this.model.colours.scheme }
  }

  tone(name) {
    this.tones ??= new Map()
    if (!this.tones.has(name)) this.tones.set(name, getComputedStyle(this.root).getPropertyValue(`--wb-${name}`).trim() || "#888")
    return this.tones.get(name)
  }

  controls() {
    const chosen = this.model.chosen
    if (document.activeElement !== this.input) this.input.value = chosen.symbol ?? ""
    for (const [name, select] of Object.entries(this.selects)) {
      const value = String(chosen[name])
      if (![...select.options].some((o) => o.value === value)) node("option", "", select, value).value = value
      select.value = value
    }
    if (this.isDocked) return
    const query = new URLSearchParams(location.search)
    for (const [name, value] of Object.entries(chosen)) { if (value === "") query.delete(name); else query.set(name, value) }
    query.set("theme", this.model.colours.scheme)
    history.replaceState(null, "", `${location.pathname}?${query}`)
    document.title = `${chosen.symbol} exposure`
  }

  forget() {                         // another choice: what is drawn belongs to the one before until the answer comes
    if (this.board && this.board.underlying !== this.model.chosen.symbol) {
      this.board = null
      this.view = null
      this.heat = {strikes: [], columns: []}
      this.say(`Waiting for the chain of ${this.model.chosen.symbol}…`, true)
      this.fill()
      this.paint()
    } else this.root.classList.add("old")
  }

  // -- what the server tells --------------------------------------------------------------------------------------------------------

  told({board, say}) {
    if (say) return this.complain(say)
    if (!board) return
    if (board.health) this.health(board.health)
    if (!board.totals) {             // nothing new to draw: the last good picture stays, greyed
      this.say(board.status, board.is_waiting)
      this.root.classList.toggle("old", !!this.board)
      return
    }
    this.take(board.heat)
    this.board = board
    this.root.classList.toggle("old", ["STALE", "REFUSED"].includes(board.health?.mode))
    this.say(board.status, false)
    this.fill()
    this.paint()
    this.n_boards = (this.n_boards ?? 0) + 1
  }

  take(heat) {
    this.n_heats = (this.n_heats ?? 0) + 1
    if (heat.is_whole) { this.heat = {strikes: heat.strikes, columns: heat.columns}; return }
    const columns = this.heat.columns
    for (const column of heat.columns) {
      while (columns.length && columns[columns.length - 1].t >= column.t) columns.pop()
      columns.push(column)
    }
    if (columns.length > 1600) columns.splice(0, columns.length - 1600)
  }

  say(text, isWaiting) {
    this.status.classList.toggle("on", !!text)
    this.status.classList.toggle("wait", !!isWaiting)
    this.sentence.textContent = text || ""
  }

  complain(text) {
    this.say(text, false)
    clearTimeout(this.quiet)
    this.quiet = setTimeout(() => this.say(this.board?.status ?? "", false), 6000)
    this.controls()
  }

  health({mode, reason}) {
    this.mode.className = `mode ${mode}`
    this.mode.textContent = mode
    this.mode.title = reason
    this.root.classList.toggle("replaying", mode === "REPLAY" && Object.keys(this.model.colours).length > 0)
  }

  fill() {
    const b = this.board, t = b?.totals ?? {}
    const d = this.decimals()
    this.when.textContent = b ? `${b.asof} NY` : ""
    this.when.title = b ? `chain of ${b.date}, source ${b.source}` : ""
    const unit = {pct: "per 1 %", point: "per point", shares: "shares per point"}[this.model.chosen.unit] ?? ""
    const cells = [
      ["Net gamma", plus(t.net, this.dollars()), unit, t.net],
      ["Calls", plus(t.calls, this.dollars()), "", t.calls], ["Puts", plus(t.puts, this.dollars()), "", t.puts],
      ["Zero gamma", price(t.flip, d), t.flip != null && b ? signed(100 * (t.flip / b.spot - 1), 2) + " %" : "", null, "warning", t.no_flip || (t.flips?.length > 1 ? `all: ${t.flips.map((f) => f.toFixed(d)).join(", ")}` : "net gamma priced again at each spot")],
      ["Call wall", price(t.call_wall, d), "", null, "up", "strike at or above the spot with most call exposure"],
      ["Put wall", price(t.put_wall, d), "", null, "down", "strike at or below the spot with most put exposure"],
      ["Magnet", price(t.magnet, d), "", null, "study2", "strike with the largest net exposure above zero"],
      ["Vanna", plus(t.vex, "$"), "per vol pt", t.vex], ["Charm", plus(t.cex, "$"), `per ${this.model.chosen.charm_days == 252 ? "trading " : ""}day`, t.cex],
    ]
    const held = {1: "▲ Long gamma: hedging dampens moves", [-1]: "▼ Short gamma: hedging amplifies moves", 0: "Neither long nor short"}[t.regime] ?? "–"
    this.stats.replaceChildren(...cells.map(([label, value, small, sign, tone, title]) => {
      const cell = node("div", "")
      const name = node("span", "", cell)
      if (tone) node("i", "", name).style.background = `var(--wb-${tone})`
      name.append(label)
      const b = node("b", sign > 0 ? "up" : sign < 0 ? "down" : "", cell, value)
      if (small && value !== "–") node("small", "", b, small)
      if (title) cell.title = title
      return cell
    }))
    const regime = node("div", "regime", this.stats)
    node("span", "", regime, "Dealers at the spot, as assumed")
    node("b", t.regime > 0 ? "up" : t.regime < 0 ? "down" : "", regime, held).title = held
    this.fillTable(b, d)
    this.fillWords(b)
  }

  fillTable(b, d) {
    const head = ["Expiry", "DTE", "Net", "Calls", "Puts", "Zero gamma", "Call wall", "Put wall", "Magnet", "Vanna", "Charm", "± move", "In sums"]
    const wide = new Set(["Calls", "Puts", "Magnet", "± move"]), rest = new Set(["Vanna", "Charm", "In sums"])
    const cls = (name) => wide.has(name) ? "wide" : rest.has(name) ? "rest" : ""
    const row = (cells, name) => {
      const tr = node("tr", (this.model.chosen.expiry || "") === name ? "on" : "")
      cells.forEach((cell, i) => {
        const td = node("td", cls(head[i]), tr, typeof cell === "object" ? cell[0] : cell)
        if (typeof cell === "object") td.classList.add(...(cell[1] > 0 ? ["up"] : cell[1] < 0 ? ["down"] : []))
      })
      tr.addEventListener("click", () => this.model.send_msg({do: "choose", name: "expiry", value: name}))
      tr.dataset.name = name
      return tr
    }
    const $ = this.dollars()
    const of = (s) => [[plus(s.net, $), s.net], plus(s.calls, $), plus(s.puts, $), price(s.flip, d), price(s.call_wall, d), price(s.put_wall, d), price(s.magnet, d), plus(s.vex, "$"), plus(s.cex, "$"), s.move == null ? "–" : s.move.toFixed(2), percent(s.covered_frac)]
    const thead = node("thead"), tr = node("tr", "", thead), tbody = node("tbody")
    head.forEach((text) => node("th", cls(text), tr, text))
    const series = b?.series ?? []
    const total = b?.sum
    if (total) tbody.append(row([`All ${series.length}`, "", ...of(total)], ""))
    for (const s of series) tbody.append(row([`${s.date}${series.some((o) => o.root !== s.root) ? ` ${s.root}` : ""}`, String(s.dte), ...of(s)], s.name))
    this.table.replaceChildren(thead, tbody)
  }

  fillWords(b) {
    this.words.replaceChildren()
    if (!b) return
    const add = (name, text, cls) => { node("dt", "", this.words, name); node("dd", cls ?? "", this.words, text) }
    b.assumptions.forEach((text, i) => add(i ? "" : "Assumed", text))
    const l = b.left_out
    const all = l.n_in === l.n ? `all ${l.n.toLocaleString("en-US")} contracts are in the sums` : `${l.n_in.toLocaleString("en-US")} of ${l.n.toLocaleString("en-US")} contracts, ${percent(l.covered_frac)} of their size, are in the sums`
    add("In sums", all, l.covered_frac != null && l.covered_frac < 0.5 ? "missing" : "")
    l.reasons.forEach((text) => add("", text))
    if (b.totals.no_flip) add("No flip", b.totals.no_flip)
    b.notes.forEach((text, i) => add(i ? "" : "Note", text, "missing"))
    if (b.profile?.ratio) add("Ratio", b.profile.ratio)
    if (b.profile?.method) add("Profile", `${b.profile.title}; ${b.profile.method}`)
  }

  dollars() { return this.model.chosen.unit === "shares" ? "" : "$" }

  decimals() { return 2 }

  // -- where things are -----------------------------------------------------------------------------------------------------------

  columns() {
    const w = this.plot.clientWidth, has = w >= 1000
    if (this.isNarrow) return this.narrowColumns(w)
    const profile = Math.round(w * 0.13), curve = has ? Math.round(w * 0.12) : 0
    const bars = Math.round((w - profile - curve - AXIS) * 0.46)
    const at = {profile: [0, profile], bars: [profile, profile + bars]}
    at.axis = [at.bars[1], at.bars[1] + AXIS]
    at.curve = [at.axis[1], at.axis[1] + curve]
    at.heat = [at.curve[1], w]
    return at
  }

  get isNarrow() { return this.plot.clientWidth < NARROW }

  narrowColumns(w) {                 // beside the profile either the bars or the heat map
    const profile = Math.max(72, Math.round(w * 0.17)), isHeat = this.kind === "heat"
    const bars = isHeat ? profile : w - AXIS, axis = bars + AXIS
    return {profile: [0, profile], bars: [profile, bars], axis: [bars, axis], curve: [axis, axis], heat: [axis, w]}
  }

  range() { return this.view ?? this.board?.view ?? [0, 1] }

  y(value) {
    const [low, high] = this.range(), h = this.plot.clientHeight - HEAD - FOOT
    return HEAD + (high - value) / (high - low) * h
  }

  priceAt(y) {
    const [low, high] = this.range(), h = this.plot.clientHeight - HEAD - FOOT
    return high - (y - HEAD) / h * (high - low)
  }

  // -- painting ---------------------------------------------------------------------------------------------------------------------

  paint() {
    this.root.classList.toggle("compact", this.plot.clientWidth < COMPACT)
    if (this.asked) return
    this.asked = requestAnimationFrame(() => { this.asked = 0; this.draw() })
  }

  prepare(canvas) {
    const w = this.plot.clientWidth, h = this.plot.clientHeight, ratio = window.devicePixelRatio || 1
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) { canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio) }
    const ctx = canvas.getContext("2d")
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0)
    ctx.clearRect(0, 0, w, h)
    ctx.font = `11px ${FONT}`
    ctx.textBaseline = "middle"
    return [ctx, w, h]
  }

  draw() {
    const [ctx, w, h] = this.prepare(this.base)
    if (!w || !h) return
    if (this.kind === "heat" && !this.isNarrow) this.kind = "gex"
    const at = this.columns(), b = this.board
    if (!b) return this.heads(ctx, at, w)
    const ticks = this.priceTicks(h)
    ctx.strokeStyle = this.tone("grid")
    ctx.lineWidth = 1
    for (const tick of ticks) line(ctx, 0, crisp(this.y(tick)), w, crisp(this.y(tick)))
    ctx.save()
    ctx.beginPath()
    ctx.rect(0, HEAD, w, h - HEAD - FOOT)
    ctx.clip()
    this.drawProfile(ctx, at.profile, b.profile)
    this.drawLevels(ctx, at.bars[0], at.heat[0], b, true)
    this.drawBars(ctx, at.bars, b)
    if (at.curve[1] > at.curve[0]) this.drawCurve(ctx, at.curve, b)
    this.drawHeat(ctx, at.heat, h)
    this.drawLevels(ctx, at.heat[0], w, b, false)
    this.labelLevels(ctx, this.kind === "heat" ? at.heat : at.bars, b)
    ctx.restore()
    this.drawScales(ctx, at, w, h, b)
    this.drawAxis(ctx, at, ticks, b, h)
    this.heads(ctx, at, w)
    this.drawn = (this.drawn ?? 0) + 1
    this.cross()
  }

  heads(ctx, at, w) {
    ctx.fillStyle = this.tone("panel")
    ctx.fillRect(0, 0, w, HEAD)
    ctx.fillStyle = this.tone("line")
    ctx.fillRect(0, HEAD - 1, w, 1)
    for (const x of [at.bars[0], at.axis[0], at.axis[1], at.heat[0]]) ctx.fillRect(x, this.isNarrow ? HEAD : 0, 1, this.plot.clientHeight)
    const put = (text, [x0, x1], tone = "muted") => { ctx.fillStyle = this.tone(tone); ctx.textAlign = "left"; clipped(ctx, text, x0 + 8, HEAD / 2, x1 - x0 - 12) }
    put(this.plot.clientWidth < COMPACT ? "Volume" : "Volume profile", at.profile)
    if (!this.isNarrow) put("Strike", [at.axis[0] + 8, at.axis[1]])
    put("Net gamma by spot", at.curve)
    const columns = this.heat.columns
    const since = columns.length ? `, since ${columns[0].clock}` : ""
    if (!this.isNarrow) put(`${this.plot.clientWidth < COMPACT ? "Session" : "Net gamma through the session"}${since}`, [at.heat[0], at.heat[1] - (this.heatTop ? 170 : 0)])
    if (this.heatTop && at.heat[1] - at.heat[0] > 220) this.heatKey(ctx, at.heat[1] - 10)
    let x = at.bars[0] + 8
    this.tabs = []
    for (const [kind, label] of this.isNarrow ? [...TABS, ["heat", "Session"]] : TABS) {
      const width = ctx.measureText(label).width
      ctx.fillStyle = this.tone(kind === this.kind ? "accent" : "muted")
      ctx.fillText(label, x, HEAD / 2)
      if (kind === this.kind) ctx.fillRect(x, HEAD - 2, width, 2)
      this.tabs.push([kind, x - 6, x + width + 6])
      x += width + 14
    }
    const key = this.kind === "gex" ? [["calls", "up", 0.5], ["puts", "down", 0.5], ["net", "text", 1]] : [["above 0", "up", 0.8], ["below 0", "down", 0.8]]
    let right = this.kind === "heat" ? 0 : at.bars[1] - 10
    for (const [text, tone, alpha] of key.reverse()) {
      const width = ctx.measureText(text).width
      if (right - width - 16 < x + 6) break
      ctx.fillStyle = this.tone("muted")
      ctx.fillText(text, right - width, HEAD / 2)
      ctx.globalAlpha = alpha
      ctx.fillStyle = this.tone(tone)
      ctx.fillRect(right - width - 12, HEAD / 2 - 4, 8, 8)
      ctx.globalAlpha = 1
      right -= width + 24
    }
  }

  heatKey(ctx, right) {              // what the strongest tones stand for
    const text = `±${amount(this.heatTop, this.dollars())}`, x = right - ctx.measureText(text).width - 70, ramp = ctx.createLinearGradient(x, 0, x + 64, 0)
    ramp.addColorStop(0, this.tone("down"))
    ramp.addColorStop(0.5, this.tone("panel"))
    ramp.addColorStop(1, this.tone("up"))
    ctx.fillStyle = ramp
    ctx.fillRect(x, HEAD / 2 - 4, 64, 8)
    ctx.fillStyle = this.tone("muted")
    ctx.textAlign = "right"
    ctx.fillText(text, right, HEAD / 2)
    ctx.textAlign = "left"
  }

  priceTicks(h) {
    const [low, high] = this.range()
    const step = nice((high - low) / Math.max(2, (h - HEAD - FOOT) / 46))
    const out = []
    for (let v = Math.ceil(low / step) * step; v <= high; v += step) out.push(Number(v.toFixed(6)))
    return out
  }

  drawProfile(ctx, [x0, x1], p) {
    if (!p) return
    if (p.why) {
      ctx.fillStyle = this.tone("muted")
      ctx.textAlign = "left"
      wrap(ctx, p.why, x0 + 10, HEAD + 18, x1 - x0 - 18)
      return
    }
    const top = Math.max(...p.volumes), width = x1 - x0 - 14
    const hvn = new Set(p.hvn), lvn = new Set(p.lvn)
    p.prices.forEach((low, i) => {
      const y1 = this.y(low), y0 = this.y(low + p.step), w = p.volumes[i] / top * width
      if (y1 < HEAD || y0 > this.plot.clientHeight) return
      const inside = low >= p.val - 1e-9 && low <= p.vah + 1e-9
      ctx.fillStyle = this.tone(low === p.poc ? "vwap" : "band")
      ctx.globalAlpha = low === p.poc ? 0.95 : inside ? 0.62 : 0.26
      ctx.fillRect(x1 - w, y0, w, Math.max(y1 - y0 - (y1 - y0 > 3 ? 1 : 0), 0.6))
      ctx.globalAlpha = 1
      if (hvn.has(low) || lvn.has(low)) {
        ctx.fillStyle = this.tone(hvn.has(low) ? "text" : "faint")
        const y = (y0 + y1) / 2
        ctx.beginPath()
        if (hvn.has(low)) ctx.arc(x1 - w - 6, y, 2.5, 0, 7); else ctx.rect(x1 - w - 9, y - 1, 6, 2)
        ctx.fill()
      }
    })
    const labels = [["VAH", p.vah + p.step, "band"], ["POC", p.poc + p.step / 2, "vwap"], ["VAL", p.val, "band"]]
    const ys = spread(labels.map(([, value]) => this.y(value)), 13)
    labels.forEach(([text, value, tone], i) => {
      if (value == null) return
      ctx.strokeStyle = this.tone(tone)
      ctx.lineWidth = 1
      ctx.setLineDash(text === "POC" ? [] : [3, 3])
      line(ctx, x0, crisp(this.y(value)), x1, crisp(this.y(value)))
      ctx.setLineDash([])
      tagText(ctx, `${text} ${p[text.toLowerCase()].toFixed(2)}`, x0 + 6, ys[i] - 7, this.tone(text === "POC" ? "vwap" : "muted"), this.tone("background"), "left")
    })
  }

  barScale([x0, x1], b) {
    if (x1 - x0 < 40) return null
    const s = b.strikes, [low, high] = this.range(), names = BARS[this.kind]
    let up = 0, down = 0
    s.strike.forEach((k, i) => {
      if (k < low || k > high) return
      let plus = 0, minus = 0
      for (const name of names.slice(0, 2)) { const v = name ? s[name][i] : null; if (v > 0) plus += v; else if (v < 0) minus -= v }
      const net = s[names[2]][i] ?? 0
      up = Math.max(up, plus, net)
      down = Math.max(down, minus, -net)
    })
    const room = x1 - x0 - 20, all = up + down
    if (!(all > 0)) return null
    const share = Math.min(Math.max(down / all, down ? 0.12 : 0), up ? 0.88 : 1)
    const zero = x0 + 10 + share * room
    const per = Math.min(up ? (x1 - 10 - zero) / up : Infinity, down ? (zero - x0 - 10) / down : Infinity)
    return {zero, per}
  }

  drawBars(ctx, at, b) {
    const scale = this.barScale(at, b), s = b.strikes
    if (!scale) return
    const [callName, putName, netName] = BARS[this.kind]
    const {zero, per} = scale, n = s.strike.length
    for (let i = 0; i < n; i++) {
      const k = s.strike[i], y = this.y(k)
      if (y < HEAD - 12 || y > this.plot.clientHeight) continue
      const gap = Math.min(i ? k - s.strike[i - 1] : Infinity, i < n - 1 ? s.strike[i + 1] - k : Infinity)
      const px = Math.abs(this.y(k) - this.y(k + (Number.isFinite(gap) ? gap : 1)))
      const thick = Math.max(1, Math.min(18, Math.floor(px * 0.78)))
      const top = Math.round(y - thick / 2)
      if (callName) {
        let plus = zero, minus = zero
        for (const [name, tone] of [[callName, "up"], [putName, "down"]]) {
          const v = s[name][i]
          if (!v) continue
          const from = v > 0 ? plus : minus, to = from + v * per
          ctx.fillStyle = this.tone(tone)
          ctx.globalAlpha = 0.5
          ctx.fillRect(Math.min(from, to), top, Math.abs(to - from), thick)
          if (v > 0) plus = to; else minus = to
        }
        ctx.globalAlpha = 1
        const net = s[netName][i], slim = Math.max(1, Math.round(thick * 0.3))
        if (net) {
          ctx.fillStyle = this.tone("text")
          ctx.fillRect(Math.min(zero, zero + net * per), Math.round(y - slim / 2), Math.max(1, Math.abs(net * per)), slim)
        }
      } else {
        const v = s[netName][i]
        if (!v) continue
        ctx.fillStyle = this.tone(v > 0 ? "up" : "down")
        ctx.globalAlpha = 0.75
        ctx.fillRect(Math.min(zero, zero + v * per), top, Math.max(1, Math.abs(v * per)), thick)
        ctx.globalAlpha = 1
      }
    }
    ctx.fillStyle = this.tone("break")
    ctx.fillRect(Math.round(zero), HEAD, 1, this.plot.clientHeight)
  }

  drawCurve(ctx, [x0, x1], b) {
    const {spot, net} = b.curve, [low, high] = this.range()
    let top = 0
    spot.forEach((s, i) => { if (s >= low && s <= high) top = Math.max(top, Math.abs(net[i] ?? 0)) })
    if (!top) return
    const zero = Math.round((x0 + x1) / 2), per = ((x1 - x0) / 2 - 8) / top
    ctx.fillStyle = this.tone("break")
    ctx.fillRect(zero, HEAD, 1, this.plot.clientHeight)
    const path = (sign) => {
      ctx.beginPath()
      let open = false
      spot.forEach((s, i) => {
        if (net[i] == null) return
        const x = zero + 0.5 + Math.max(0, sign * net[i]) * sign * per, y = this.y(s)
        if (!open) { ctx.moveTo(zero + 0.5, y); open = true }
        ctx.lineTo(x, y)
      })
      ctx.lineTo(zero + 0.5, this.y(spot[spot.length - 1]))
      ctx.closePath()
    }
    for (const [sign, tone] of [[1, "up"], [-1, "down"]]) {
      path(sign)
      ctx.fillStyle = ctx.strokeStyle = this.tone(tone)
      ctx.globalAlpha = 0.22
      ctx.fill()
      ctx.globalAlpha = 1
    }
    ctx.strokeStyle = this.tone("text")
    ctx.lineWidth = 1.2
    ctx.beginPath()
    spot.forEach((s, i) => { if (net[i] != null) ctx.lineTo(zero + 0.5 + net[i] * per, this.y(s)) })
    ctx.stroke()
    for (const flip of b.totals.flips) {
      ctx.fillStyle = this.tone("warning")
      ctx.beginPath()
      ctx.arc(zero + 0.5, this.y(flip), 3.5, 0, 7)
      ctx.fill()
    }
  }

  heatTimes([x0, x1]) {
    const columns = this.heat.columns
    if (!columns.length || x1 - x0 < 80) return null
    const first = columns[0].t, last = columns[columns.length - 1].t
    const span = Math.max(last - first + this.pitch(), 20 * 60)   // never less than twenty minutes: two columns don't make a picture
    const x = (t) => x0 + 1 + (t - first) / span * (x1 - x0 - 58)
    return {first, last, span, x, end: x(last + this.pitch())}
  }

  pitch() {                          // least seconds from one column to the next
    const columns = this.heat.columns
    let least = Infinity
    for (let i = 1; i < columns.length; i++) least = Math.min(least, columns[i].t - columns[i - 1].t)
    return Number.isFinite(least) ? Math.max(15, least) : 15
  }

  heatPicture({first, last}, pitch) {   // a pixel for each slot of time and each strike, made anew only when data or tones change
    const {strikes, columns} = this.heat
    if (this.picture && this.picture.of === columns && this.picture.n === this.n_heats && this.picture.tones === this.tones) return this.picture
    const sizes = columns.flatMap((c) => c.net.filter((v) => v).map(Math.abs)).sort((a, b) => a - b)
    this.heatTop = sizes.length ? sizes[Math.floor(sizes.length * 0.99)] : null
    const picture = document.createElement("canvas"), slot = (t) => Math.round((t - first) / pitch)
    picture.width = slot(last) + 1
    picture.height = Math.max(1, strikes.length)
    const ctx = picture.getContext("2d"), image = ctx.createImageData(picture.width, picture.height)
    const rgb = (tone) => { ctx.fillStyle = this.tone(tone); return [1, 3, 5].map((i) => parseInt(ctx.fillStyle.slice(i, i + 2), 16)) }
    const up = rgb("up"), down = rgb("down")
    columns.forEach((c, j) => {
      const a = slot(c.t), b = c.hole || j === columns.length - 1 ? a + 1 : Math.max(a + 1, slot(columns[j + 1].t))
      c.net.forEach((v, i) => {
        if (!v) return
        const tone = v > 0 ? up : down, alpha = 235 * Math.sqrt(Math.min(1, Math.abs(v) / this.heatTop))
        for (let x = a; x < b; x++) image.data.set([...tone, alpha], 4 * (i * picture.width + x))
      })
    })
    ctx.putImageData(image, 0, 0)
    Object.assign(picture, {of: columns, n: this.n_heats, tones: this.tones})
    return this.picture = picture
  }

  drawHeat(ctx, [x0, x1], h) {
    const times = this.heatTimes([x0, x1]), {strikes, columns} = this.heat
    if (!times) return
    const pitch = this.pitch(), picture = this.heatPicture(times, pitch)
    ctx.imageSmoothingEnabled = false
    const left = Math.round(times.x(times.first)), right = Math.round(times.x(times.first + picture.width * pitch))
    strikes.forEach((k, i) => {
      const below = i ? strikes[i - 1] : 2 * k - (strikes[i + 1] ?? k + 1), above = i < strikes.length - 1 ? strikes[i + 1] : 2 * k - below
      const y0 = Math.round(this.y((k + above) / 2)), y1 = Math.round(this.y((k + below) / 2))
      if (y1 > HEAD && y0 < h) ctx.drawImage(picture, 0, i, picture.width, 1, left, y0, right - left, y1 - y0)
    })
    const path = (name, tone, width, dash) => {
      const trace = () => {
        ctx.beginPath()
        let isOpen = false
        for (const c of columns) {
          const v = c[name], x = times.x(c.t + pitch / 2)
          if (v != null && isOpen) ctx.lineTo(x, this.y(v))
          else if (v != null) ctx.moveTo(x, this.y(v))
          isOpen = v != null && !c.hole
        }
      }
      ctx.setLineDash(dash)
      ctx.lineJoin = "round"
      ctx.strokeStyle = this.tone("background")
      ctx.lineWidth = width + 2
      ctx.globalAlpha = 0.75
      trace()
      ctx.stroke()
      ctx.globalAlpha = 1
      ctx.strokeStyle = this.tone(tone)
      ctx.lineWidth = width
      trace()
      ctx.stroke()
      ctx.setLineDash([])
    }
    path("flip", "warning", 1.2, [4, 3])
    path("spot", "text", 1.6, [])
  }

  levels(b) {
    const found = LEVELS.map(([name, label, tone, side]) => ({label, tone, side, value: b.totals[name]})).filter((l) => l.value != null)
    return [...found, {label: "spot", tone: "accent", side: 1, value: b.spot}]
  }

  drawLevels(ctx, x0, x1, b, hasSpot) {   // through the heat map the spot has a path of its own
    for (const l of this.levels(b)) {
      const isSpot = l.label === "spot", y = crisp(this.y(l.value))
      if (isSpot && !hasSpot) continue
      ctx.strokeStyle = this.tone(l.tone)
      ctx.globalAlpha = isSpot ? 0.9 : 0.6
      ctx.lineWidth = 1
      ctx.setLineDash(isSpot ? [] : [5, 4])
      line(ctx, x0, y, x1, y)
    }
    ctx.setLineDash([])
    ctx.globalAlpha = 1
  }

  labelLevels(ctx, [x0, x1], b) {
    for (const side of [0, 1]) {
      const those = this.levels(b).filter((l) => l.side === side)
      const ys = spread(those.map((l) => this.y(l.value)), 15)
      those.forEach((l, i) => tagText(ctx, l.label, side ? x1 - 6 : x0 + 6, ys[i], this.tone(l.tone), this.tone("background"), side ? "right" : "left"))
    }
  }

  drawAxis(ctx, at, ticks, b, h) {
    const [x0, x1] = at.axis, d = this.decimals(), t = b.totals
    ctx.fillStyle = this.tone("background")
    ctx.fillRect(x0 + 1, HEAD, x1 - x0 - 1, h - HEAD)
    ctx.fillStyle = this.tone("muted")
    ctx.textAlign = "right"
    const tags = LEVELS.map(([name, , tone]) => [t[name], tone]).filter(([v]) => v != null)
    tags.push([b.spot, "accent"])
    const inside = tags.filter(([v]) => this.y(v) > HEAD && this.y(v) < h - FOOT)
    const merged = []
    for (const tag of inside) { const same = merged.find(([v]) => v === tag[0]); if (!same) merged.push(tag) }
    const ys = spread(merged.map(([v]) => this.y(v)), 16)
    for (const tick of ticks) {
      const y = this.y(tick)
      if (y > HEAD + 6 && y < h - FOOT - 6 && !ys.some((tag) => Math.abs(tag - y) < 14)) ctx.fillText(tick.toFixed(d), x1 - 8, y)
    }
    merged.forEach(([value, tone], i) => {
      ctx.fillStyle = this.tone(tone)
      ctx.fillRect(x0 + 1, Math.round(ys[i]) - 8, x1 - x0 - 1, 16)
      ctx.fillStyle = tone === "warning" ? this.tone("on-warning") : this.tone("tag-text")
      ctx.font = `600 11px ${FONT}`
      ctx.fillText(value.toFixed(d), x1 - 8, ys[i] + 0.5)
      ctx.font = `11px ${FONT}`
    })
  }

  drawScales(ctx, at, w, h, b) {
    ctx.fillStyle = this.tone("background")
    ctx.fillRect(0, h - FOOT, w, FOOT)
    ctx.fillStyle = this.tone("line")
    ctx.fillRect(0, h - FOOT, w, 1)
    ctx.fillStyle = this.tone("muted")
    const y = h - FOOT / 2 + 1
    const scale = this.barScale(at.bars, b)
    if (scale) {
      const step = nice((at.bars[1] - at.bars[0]) / scale.per / 6)
      const from = Math.ceil((at.bars[0] + 12 - scale.zero) / scale.per / step), to = Math.floor((at.bars[1] - 12 - scale.zero) / scale.per / step)
      ctx.textAlign = "center"
      let free = at.bars[0]
      for (let i = from; i <= to; i++) {
        const text = i ? amount(i * step, this.kind === "gex" ? this.dollars() : "$", 1) : "0", x = scale.zero + i * step * scale.per, half = ctx.measureText(text).width / 2
        if (x - half < free + 4 || x + half > at.bars[1] - 2) continue
        ctx.fillText(text, x, y)
        free = x + half
      }
    }
    const p = b.profile
    if (p?.volumes) { ctx.textAlign = "left"; clipped(ctx, this.plot.clientWidth < COMPACT ? short(p.total) : `${short(p.total)} · ${p.title}`, 8, y, at.profile[1] - 14) }
    const times = this.heatTimes(at.heat)
    if (times) {
      ctx.textAlign = "center"
      const step = [60, 120, 300, 600, 900, 1800, 3600, 7200].find((s) => s / times.span * (at.heat[1] - at.heat[0]) > 62) ?? 7200
      for (let t = Math.ceil(times.first / step) * step; t <= times.first + times.span; t += step) {
        const x = times.x(t)
        if (x > at.heat[0] + 16 && x < at.heat[1] - 16) ctx.fillText(clockOf(t, this.heat.columns[0]), x, y)
      }
    }
    if (at.curve[1] > at.curve[0]) { ctx.textAlign = "center"; ctx.fillText("0", (at.curve[0] + at.curve[1]) / 2, y); ctx.textAlign = "left"; ctx.fillText("short", at.curve[0] + 8, y); ctx.textAlign = "right"; ctx.fillText("long", at.curve[1] - 8, y) }
  }

  // -- pointer --------------------------------------------------------------------------------------------------------------------

  point(e) {
    const box = this.over.getBoundingClientRect()
    return {x: e.clientX - box.left, y: e.clientY - box.top}
  }

  moved(e) {
    const p = this.point(e), at = this.columns()
    this.over.classList.toggle("axis", p.x >= at.axis[0] && p.x < at.axis[1])
    if (this.drag) {
      const [low, high] = this.drag.view, h = this.plot.clientHeight - HEAD - FOOT
      if (this.drag.scales) {
        const middle = (low + high) / 2, half = (high - low) / 2 * Math.exp((p.y - this.drag.y) / h * 2)
        this.view = [middle - half, middle + half]
      } else {
        const by = (p.y - this.drag.y) / h * (high - low)
        this.view = [low + by, high + by]
      }
      this.paint()
    }
    this.cursor = p
    this.cross()
  }

  pressed(e) {
    const p = this.point(e), at = this.columns()
    if (p.y < HEAD) {
      const tab = this.tabs?.find(([, a, b]) => p.x >= a && p.x <= b)
      if (tab) { this.kind = tab[0]; this.paint() }
      return
    }
    if (!this.board) return
    this.over.setPointerCapture(e.pointerId)
    this.drag = {y: p.y, view: [...this.range()], scales: p.x >= at.axis[0] && p.x < at.axis[1]}
  }

  wheeled(e) {
    if (!this.board) return
    e.preventDefault()
    const at = this.priceAt(this.point(e).y), [low, high] = this.range(), by = Math.exp(Math.sign(e.deltaY) * Math.min(0.25, Math.abs(e.deltaY) / 500))
    const next = [at - (at - low) * by, at + (high - at) * by], span = next[1] - next[0]
    if (span < this.board.spot * 0.002 || span > this.board.spot * 1.2) return
    this.view = next
    this.paint()
  }

  cross() {
    const [ctx, w, h] = this.prepare(this.over)
    const p = this.cursor, b = this.board
    const is = p && b && p.y > HEAD && p.y < h - FOOT && !this.drag
    this.tip.classList.toggle("on", !!is)
    if (!is) return
    const at = this.columns(), value = this.priceAt(p.y), s = b.strikes
    ctx.strokeStyle = this.tone("cross")
    ctx.setLineDash([3, 3])
    line(ctx, 0, crisp(p.y), w, crisp(p.y))
    ctx.setLineDash([])
    ctx.fillStyle = this.tone("cross-tag")
    ctx.fillRect(at.axis[0] + 1, Math.round(p.y) - 8, AXIS - 1, 16)
    ctx.fillStyle = this.tone("tag-text")
    ctx.textAlign = "right"
    ctx.fillText(value.toFixed(this.decimals()), at.axis[1] - 8, p.y + 0.5)
    const rows = p.x >= at.heat[0] ? this.heatTip(ctx, at, p, value, h) : p.x >= at.curve[0] && p.x < at.curve[1] ? this.curveTip(b, value) : p.x < at.profile[1] ? this.profileTip(b, value) : this.strikeTip(b, s, value)
    this.tip.classList.toggle("on", !!rows)
    if (!rows) return
    this.tip.replaceChildren()
    node("b", "", this.tip, rows[0])
    for (const [name, text] of rows.slice(1)) { node("span", "", this.tip, name); node("em", "", this.tip, text) }
    const tw = this.tip.offsetWidth, th = this.tip.offsetHeight
    this.tip.style.left = `${Math.max(0, p.x + 18 + tw > w ? p.x - tw - 14 : p.x + 18)}px`
    this.tip.style.top = `${Math.max(HEAD + 2, p.y + 16 + th > h ? p.y - th - 10 : p.y + 16)}px`
  }

  strikeTip(b, s, value) {
    const i = nearest(s.strike, value), $ = this.dollars()
    if (i < 0) return null
    return [`${s.strike[i].toFixed(this.decimals())}  strike`, ["net", plus(s.net_gex[i], $)], ["calls", plus(s.call_gex[i], $)], ["puts", plus(s.put_gex[i], $)],
      ["vanna", plus(s.vex[i], "$")], ["charm", plus(s.cex[i], "$")], ["open calls", short(s.call_size[i])], ["open puts", short(s.put_size[i])]]
  }

  curveTip(b, value) {
    const i = nearest(b.curve.spot, value)
    return i < 0 ? null : [`if the spot were ${b.curve.spot[i].toFixed(this.decimals())}`, ["net gamma", plus(b.curve.net[i], this.dollars())], ["from here", `${signed(100 * (b.curve.spot[i] / b.spot - 1), 2)} %`]]
  }

  profileTip(b, value) {
    const p = b.profile
    if (!p?.prices?.length) return null
    const i = Math.floor((value - p.prices[0]) / p.step)
    return i < 0 || i >= p.prices.length ? null : [`${p.prices[i].toFixed(2)} – ${(p.prices[i] + p.step).toFixed(2)}`, ["volume", short(p.volumes[i])], ["share", percent(p.volumes[i] / p.total)]]
  }

  heatTip(ctx, at, p, value, h) {
    const times = this.heatTimes(at.heat), {strikes, columns} = this.heat
    if (!times || p.x > times.end) return null
    let c = columns[0]
    for (const column of columns) if (times.x(column.t) <= p.x) c = column
    if (c.hole && p.x > times.x(c.t + 2 * this.pitch())) return null
    ctx.strokeStyle = this.tone("cross")
    ctx.setLineDash([3, 3])
    line(ctx, crisp(p.x), HEAD, crisp(p.x), h - FOOT)
    ctx.setLineDash([])
    const i = nearest(strikes, value)
    if (i < 0) return null
    return [`${c.clock}  ${strikes[i].toFixed(this.decimals())}`, ["net then", plus(c.net[i], this.dollars())], ["spot", price(c.spot, 2)], ["zero gamma", price(c.flip, 2)], ["call wall", price(c.call_wall, 2)], ["put wall", price(c.put_wall, 2)]]
  }
}

function node(tag, cls, parent, text) {
  const el = document.createElement(tag)
  if (cls) el.className = cls
  if (text != null) el.textContent = text
  parent?.append(el)
  return el
}
function amount(v, dollar, digits = 2) {
  if (v == null) return "–"
  const size = Math.abs(v), sign = v < 0 ? "−" : ""
  for (const [unit, name] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]]) if (size >= 0.9995 * unit) return `${sign}${dollar}${(size / unit).toFixed(size >= 100 * unit ? 0 : size >= 10 * unit ? Math.min(1, digits) : digits)}${name}`
  return `${sign}${dollar}${size.toFixed(0)}`
}
function plus(v, dollar) { return v > 0 ? `+${amount(v, dollar)}` : amount(v, dollar) }
function short(v) { return v == null ? "–" : amount(v, "", 1) }
function price(v, d) { return v == null ? "–" : v.toFixed(d) }
function percent(v) { return v == null ? "–" : `${(100 * v).toFixed(1)} %` }
function signed(v, d) { return `${v < 0 ? "−" : "+"}${Math.abs(v).toFixed(d)}` }
function crisp(v) { return Math.round(v) + 0.5 }
function line(ctx, x0, y0, x1, y1) { ctx.beginPath(); ctx.moveTo(x0, y0); ctx.lineTo(x1, y1); ctx.stroke() }
function nice(v) {
  const power = 10 ** Math.floor(Math.log10(v))
  return ([1, 2, 2.5, 5, 10].find((s) => s * power >= v * 0.999) ?? 10) * power
}
function nearest(values, v) {
  let best = -1
  values.forEach((x, i) => { if (best < 0 || Math.abs(x - v) < Math.abs(values[best] - v)) best = i })
  return best
}
function spread(ys, gap) {             // the same places, moved apart so that none covers another
  const order = ys.map((y, i) => [y, i]).sort((a, b) => a[0] - b[0])
  for (let round = 0; round < 8; round++) {
    for (let i = 1; i < order.length; i++) {
      const lack = gap - (order[i][0] - order[i - 1][0])
      if (lack > 0) { order[i - 1][0] -= lack / 2; order[i][0] += lack / 2 }
    }
  }
  const out = []
  for (const [y, i] of order) out[i] = y
  return out
}
function tagText(ctx, text, x, y, tone, ground, align) {
  ctx.textAlign = align
  const w = ctx.measureText(text).width
  ctx.globalAlpha = 0.8
  ctx.fillStyle = ground
  ctx.fillRect((align === "left" ? x : x - w) - 3, y - 7, w + 6, 14)
  ctx.globalAlpha = 1
  ctx.fillStyle = tone
  ctx.fillText(text, x, y + 0.5)
}
function clipped(ctx, text, x, y, room) {
  if (room < 20) return
  let shown = text
  while (shown.length > 3 && ctx.measureText(shown).width > room) shown = `${shown.slice(0, -2).trimEnd()}…`
  ctx.fillText(shown, x, y)
}
function wrap(ctx, text, x, y, room) {
  let held = ""
  for (const word of text.split(" ")) {
    if (held && ctx.measureText(`${held} ${word}`).width > room) { ctx.fillText(held, x, y); held = word; y += 16 } else held = held ? `${held} ${word}` : word
  }
  ctx.fillText(held, x, y)
}
function clockOf(t, column) {          // New York's clock: as far from UTC as the column's own
  const [hours, minutes, seconds] = column.clock.split(":").map(Number)
  const at = (hours * 3600 + minutes * 60 + seconds + t - column.t + 864000) % 86400
  return `${String(Math.floor(at / 3600)).padStart(2, "0")}:${String(Math.floor(at % 3600 / 60)).padStart(2, "0")}`
}
