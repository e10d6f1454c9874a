// The chain's page: holds every cell's number, and draws the lines that are seen. Lines are made once and moved while scrolling; an
// update touches the cells that changed. The server says what a number is, this file how it looks.

const ROW = 22, SPARE = 6, FLASH_MS = 150, HERE_MS = 3000
const LISTED = 1, ITM = 2, OLD = 4, UNPRICED = 8, ILLIQUID = 16, ADJUSTED = 32
const PRICES = ["bid", "ask", "mid", "last"]
const PICKS = [["", "Select"], ["straddle", "Straddle"], ["strangle", "Strangle"], ["vertical", "Vertical"]]
const CLOCK = new Intl.DateTimeFormat("en-GB", {timeZone: "America/New_York", hour: "2-digit", minute: "2-digit", second: "2-digit"})

const COLUMNS_ICON = '<svg viewBox="0 0 16 16" width="14" height="14"><path d="M2.5 3.5h11v9h-11zM6.2 3.5v9M9.8 3.5v9"/></svg>'

export function render({model}) {
  const chain = new Chain(model)
  model.on("lifecycle:remove", () => chain.remove())
  return chain.root
}

class Chain {
  constructor(model) {
    this.model = model
    this.strikes = []
    this.cells = new Map()          // field -> values, 2 a strike: call, put
    this.head = {}
    this.dirty = new Map()          // field -> places that changed
    this.flashing = []
    this.n = 0
    this.pick = ""
    this.shown = ""                 // what the lines are of: another one is centred anew
    this.build()
    model.on("place", () => this.drawPlace())
    model.on("chosen", () => { this.drawMenu(); this.columns() })
    model.on("selected", () => this.mark())
    model.on("is_move_shown", () => this.drawButtons())
    model.on("msg:custom", (event) => this.told(event?.data ?? event))
    this.sized = new ResizeObserver(() => this.resized())
    this.sized.observe(this.scroller)
    this.onPress = (e) => { if (!e.composedPath().includes(this.menu.parentNode)) this.menu.classList.remove("on") }
    window.addEventListener("pointerdown", this.onPress)
    this.here = setInterval(() => this.model.send_msg({do: "here", value: this.n}), HERE_MS)
    this.columns()
    this.drawMenu()
    this.drawPlace()
    this.drawButtons()
    this.model.send_msg({do: "ready"})
  }

  remove() {
    clearInterval(this.here)
    this.sized.disconnect()
    window.removeEventListener("pointerdown", this.onPress)
  }
  send(what, value = null, more = {}) { this.model.send_msg({do: what, value, ...more}) }

  // -- parts ---------------------------------------------------------------------------------------------------------------

  build() {
    const r = this.root = node("div", "chain")
    const top = node("div", "top", r)
    this.under = button(top, "", "Back to the underlying", () => this.send("underlying"))
    this.under.className = "under"
    this.expiry = node("select", "expiry", top)
    this.expiry.title = "Expiry: date, days, M for the monthly one"
    this.expiry.addEventListener("change", () => { this.send("expiry", this.expiry.value); this.expiry.blur() })
    this.roots = node("div", "roots", top)
    node("i", "fill", top)
    this.atm = button(top, "ATM", "Bring the money to the middle", () => this.centre())
    this.move = button(top, "±1σ", "Expected move on the chart of the underlying", () => this.send("move", !this.model.is_move_shown))
    this.picker = node("select", "picker")
    this.picker.title = "What a click does: select a contract; or pick a straddle (one strike), a strangle (call and put), a vertical (bought, then sold)"
    this.picker.append(...PICKS.map(([value, text]) => new Option(text, value)))
    this.picker.addEventListener("change", () => { this.pick = this.picker.value; this.root.classList.toggle("picking", !!this.pick); if (!this.pick) this.send("unpick"); this.picker.blur() })
    const box = node("div", "pop", top)
    button(box, "", "Columns shown", () => this.menu.classList.toggle("on")).innerHTML = COLUMNS_ICON
    this.menu = node("div", "menu", box)
    this.facts = node("div", "facts", r)
    this.notes = node("div", "notes", r)
    this.notes.addEventListener("click", () => this.notes.classList.toggle("all"))
    const stage = node("div", "stage", r)
    this.scroller = node("div", "scroller", stage)
    this.titles = node("div", "line titles", this.scroller)
    this.sheet = node("div", "sheet", this.scroller)
    this.money = node("div", "money", this.sheet)
    this.tag = node("span", "tag", this.money)
    this.cover = node("div", "cover", stage)
    this.trade = node("div", "trade", r)
    const bottom = node("div", "bottom", r)
    this.foot = node("div", "foot", bottom)
    bottom.append(this.picker)
    this.scroller.addEventListener("scroll", () => this.request())
    this.sheet.addEventListener("pointermove", (e) => this.hover(e))
    this.sheet.addEventListener("pointerleave", () => { this.over = null; this.drawFoot() })
    this.sheet.addEventListener("click", (e) => this.clicked(e))
    this.pool = []
  }

  // Which columns stand where: the same order from the strike outwards on both sides, but a bid always before its ask.
  columns() {
    const all = new Map(this.model.columns.map(([name, title, about, decimals]) => [name, {name, title, about, decimals}]))
    const chosen = this.model.chosen.map((name) => all.get(name)).filter(Boolean)
    const quote = chosen.filter((c) => ["bid_size", "bid", "ask", "ask_size"].includes(c.name))
    const rest = chosen.filter((c) => !quote.includes(c))
    this.sides = [[...rest].reverse().concat(quote), [...quote, ...rest]]
    this.byName = new Map(chosen.map((c) => [c.name, c]))
    const widths = (side) => side.map((c) => `minmax(${this.width(c)}px, 1fr)`).join(" ")
    this.strikeWidth = Math.max(46, String(Math.max(0, ...this.strikes)).length * 7 + 22)
    this.grid = `${widths(this.sides[0])} ${this.strikeWidth}px ${widths(this.sides[1])}`
    this.least = [...this.sides[0], ...this.sides[1]].reduce((sum, c) => sum + this.width(c), this.strikeWidth)
    this.root.style.setProperty("--grid", this.grid)
    this.root.style.setProperty("--least", `${this.least}px`)
    this.titles.replaceChildren()
    this.sides.forEach((side, right) => {
      for (const c of side) node("div", "t", this.titles, c.title).title = `${right ? "Puts" : "Calls"}: ${c.about}`
      if (!right) node("div", "k", this.titles, "Strike")
    })
    for (const line of this.pool) line.el.remove()
    this.pool = []
    this.resized()
    this.middle()
  }
  width(c) {
    const digits = Math.max(2, String(Math.round(this.strikes.at(-1) ?? 100)).length)
    const chars = PRICES.includes(c.name) || c.name === "break_even" ? digits + 1 + c.decimals : {delta: 5, iv: 5, gamma: 6, theta: 6, vega: 5, spread_pct: 5, p_itm: 5, volume: 5, open_interest: 5}[c.name] ?? 4
    return Math.round(Math.max(chars * 6.7, c.title.length * 6.2) + 8)
  }

  resized() {
    const wanted = Math.min(this.strikes.length, Math.ceil(this.scroller.clientHeight / ROW) + 2 * SPARE)
    while (this.pool.length < wanted) this.pool.push(this.newLine())
    while (this.pool.length > wanted) this.pool.pop().el.remove()
    for (const line of this.pool) line.i = -1
    this.request()
  }
  newLine() {
    const el = node("div", "line", this.sheet)
    const halves = [], cells = []
    this.sides.forEach((side, right) => {
      const half = node("div", "half", el)
      halves.push(half)
      cells.push(new Map(side.map((c) => [c.name, node("div", `c ${c.name}`, half)])))
      if (!right) el.strike = node("div", "k", el)
    })
    return {el, halves, cells, strike: el.strike, i: -1}
  }

  // -- showing -------------------------------------------------------------------------------------------------------------

  told(data) {
    if (data.error) return this.complain(data.error)
    if (!data.chain) return
    const news = JSON.parse(data.chain), isNew = !!news.strikes
    this.n = news.n
    if (isNew) this.begin(news.strikes)
    if (news.head) { this.head = news.head; this.headChanged = true }
    for (const [field, [places, values]] of Object.entries(news.cells ?? {})) {
      let held = this.cells.get(field)
      if (!held) this.cells.set(field, held = new Float64Array(2 * this.strikes.length).fill(NaN))
      const before = !isNew && PRICES.includes(field) ? this.before ??= new Map() : null
      for (let j = 0; j < places.length; j++) {
        const at = places[j], value = values[j] ?? NaN
        if (before) before.set(`${field} ${at}`, held[at])
        held[at] = value
      }
      if (!isNew) this.dirty.set(field, (this.dirty.get(field) ?? []).concat(places))
    }
    this.request()
  }
  begin(strikes) {
    this.cells.clear()
    this.dirty.clear()
    this.before = null
    const top = this.strikes[Math.round(this.scroller.scrollTop / ROW)]
    this.strikes = strikes
    this.digits = Math.max(0, ...strikes.map((k) => (String(k).split(".")[1] ?? "").length))
    this.sheet.style.height = `${strikes.length * ROW}px`
    this.columns()
    const {underlying, expiry, root} = this.model.place, shown = `${underlying} ${expiry} ${root}`
    this.mustCentre = this.mustCentre || shown !== this.shown
    this.shown = shown
    if (!this.mustCentre && top != null) this.scroller.scrollTop = Math.max(0, strikes.findIndex((k) => k >= top)) * ROW
  }

  request() { this.asked ??= requestAnimationFrame(() => { this.asked = null; this.draw() }) }
  draw() {
    if (this.headChanged) { this.headChanged = false; this.drawHead() }
    if (this.mustCentre && this.head.spot != null && this.scroller.clientHeight) { this.mustCentre = false; this.centre() }
    this.drawLines()
    this.drawChanges()
    if (this.n !== this.drawn) this.send("drawn", this.drawn = this.n)
  }

  drawLines() {
    const top = this.scroller.scrollTop
    const first = Math.max(0, Math.min(Math.floor(top / ROW) - SPARE, this.strikes.length - this.pool.length))
    this.first = first
    const size = this.pool.length
    for (let j = 0; j < size; j++) {
      const line = this.pool[j], i = first + ((j - first) % size + size) % size        // each line keeps its slot while scrolling
      if (line.i !== i) this.fill(line, i)
    }
    const k = this.money.k ?? 0
    this.atm.classList.toggle("away", this.head.spot != null && (k * ROW < top || k * ROW > top + this.scroller.clientHeight - ROW))
  }
  slot(i) { const line = this.pool[i % this.pool.length]; return line?.i === i ? line : null }

  fill(line, i) {
    line.i = i
    line.el.style.transform = `translateY(${i * ROW}px)`
    line.strike.textContent = this.strikes[i]?.toFixed(this.digits) ?? ""
    for (const side of [0, 1]) {
      for (const name of line.cells[side].keys()) this.put(line, side, name)
      this.dress(line, side)
    }
  }
  put(line, side, name) {
    const cell = line.cells[side].get(name)
    if (!cell) return null
    const text = this.text(name, this.cells.get(name)?.[2 * line.i + side], this.cells.get("flags")?.[2 * line.i + side])
    if (cell.firstChild) { if (cell.firstChild.data !== text) cell.firstChild.data = text } else cell.textContent = text
    return cell
  }
  text(name, v, flags) {
    if (!(flags & LISTED)) return ""
    if (v == null || Number.isNaN(v)) return "–"
    if (name === "volume" || name === "open_interest" || name.endsWith("_size")) return short(v)
    const text = Math.abs(v).toFixed(this.byName.get(name).decimals)
    return v < 0 && Number(text) !== 0 ? `−${text}` : text
  }
  dress(line, side) {
    const at = 2 * line.i + side, flags = this.cells.get("flags")?.[at] || 0
    const strike = this.strikes[line.i], right = "CP"[side], s = this.model.selected
    const isOn = s.strike === strike && s.right === right && s.expiry === this.model.place.expiry && s.root === this.model.place.root
    const leg = (this.head.legs?.[0] ?? []).find(([root, expiry, k, r]) => k === strike && r === right && expiry === this.model.place.expiry && root === this.model.place.root)
    line.halves[side].className = `half ${side ? "puts" : "calls"}${flags & ITM ? " itm" : ""}${flags & OLD ? " old" : ""}${flags & UNPRICED ? " unpriced" : ""}${flags & ILLIQUID ? " thin" : ""}${flags & ADJUSTED ? " adjusted" : ""}${isOn ? " on" : ""}${leg ? (leg[4] > 0 ? " bought" : " sold") : ""}`
  }

  drawChanges() {
    const flash = []
    for (const [field, places] of this.dirty) {
      for (const at of places) {
        const line = this.slot(at >> 1), side = at & 1
        if (!line) continue
        if (field === "flags") { this.dress(line, side); for (const name of line.cells[side].keys()) this.put(line, side, name); continue }
        const cell = this.put(line, side, field), old = this.before?.get(`${field} ${at}`)
        if (cell && old === old && old !== undefined) flash.push([cell, this.cells.get(field)[at] > old ? "up" : "down"])
      }
    }
    this.dirty.clear()
    this.before = null
    if (this.over) this.drawFoot()
    if (!flash.length) return
    for (const [cell, tone] of flash) cell.dataset.flash = tone
    setTimeout(() => { for (const [cell, tone] of flash) if (cell.dataset.flash === tone) delete cell.dataset.flash }, FLASH_MS)
  }

  mark() { for (const line of this.pool) if (line.i >= 0) for (const side of [0, 1]) this.dress(line, side) }

  drawPlace() {
    const p = this.model.place
    this.under.firstChild.textContent = p.underlying ?? ""
    const key = JSON.stringify(p.expiries ?? [])
    if (key !== this.listed) {
      this.listed = key
      this.expiry.replaceChildren(...(p.expiries ?? []).map(([day, label, dte, tag]) => new Option(`${label} · ${dte}d${tag ? ` ${tag}` : ""}`, day)))
    }
    if (p.expiry) this.expiry.value = p.expiry
    this.expiry.disabled = !p.expiries?.length
    const roots = p.roots ?? []
    this.roots.replaceChildren(...roots.map(([root, when]) => {
      const b = button(null, "", `${root}: settles on ${when === "AM" ? "opening" : "closing"} prices of the last day`, () => this.send("root", root))
      b.textContent = roots.length > 1 ? `${root} ${when}` : when
      b.classList.toggle("on", roots.length > 1 && root === p.root)
      b.disabled = roots.length < 2
      return b
    }))
    const isReady = p.state === "ready"
    this.cover.className = `cover ${isReady ? "" : "on"} ${p.state ?? ""}`
    this.cover.textContent = p.message || (isReady ? "" : "Waiting for the chain …")
    if (!isReady) { this.head = {}; this.headChanged = true; this.request() }
    this.mark()
  }

  drawButtons() { this.move.classList.toggle("on", this.model.is_move_shown) }

  drawMenu() {
    this.menu.replaceChildren(...this.model.columns.map(([name, title, about]) => {
      const line = node("label"), box = node("input", "", line)
      box.type = "checkbox"
      box.checked = this.model.chosen.includes(name)
      node("b", "", line, title)
      node("span", "", line, about)
      box.addEventListener("change", () => { this.send("columns", this.model.columns.map((c) => c[0]).filter((n) => n === name ? box.checked : this.model.chosen.includes(n))); box.blur() })
      return line
    }))
  }

  drawHead() {
    const h = this.head, spot = h.spot
    this.under.lastChild.textContent = spot == null ? "" : ` ${spot.toFixed(h.decimals)}`
    const share = h.move != null && spot ? ` (${(100 * h.move / spot).toFixed(2)} %)` : ""
    const facts = [
      ["±1σ", h.move == null ? "–" : `${h.move.toFixed(2)}${share}`, `Expected move until ${h.ends ?? "expiry"}: one standard deviation by the volatility at the money`],
      ["IV", h.atm_vol_pct == null ? "–" : `${h.atm_vol_pct.toFixed(1)} %`, `Implied volatility at the forward; clock and rate: ${h.basis ?? ""}`],
      ["Fwd", h.forward == null ? "–" : h.forward.toFixed(2), `Forward ${h.forward_by ?? ""}`], ["Strdl", h.straddle == null ? "–" : h.straddle.toFixed(2), "Call and put at the strike nearest to the forward, middles"],
    ]
    const late = !h.is_old ? "" : h.asof ? `quotes of ${h.asof} New York, ${ago(h.age_s)} old` : "nobody told when it was quoted"
    this.drawFacts(facts, spot != null && !h.is_priced ? "pricing …" : "", late)
    this.root.classList.toggle("late", !!h.is_old)
    const notes = [...new Set([h.trouble, ...(h.notes ?? [])].filter(Boolean))]
    this.notes.classList.toggle("on", notes.length > 0)
    this.notes.classList.toggle("trouble", !!h.trouble)
    this.notes.textContent = notes.join(" · ")
    this.notes.title = notes.join("\n")
    let k = 0
    while (k < this.strikes.length && this.strikes[k] <= spot) k++
    this.money.k = k
    this.money.style.display = spot == null ? "none" : ""
    this.money.style.transform = `translateY(${k * ROW}px)`
    this.tag.textContent = spot == null ? "" : spot.toFixed(h.decimals)
    this.drawTrade()
  }
  drawFacts(facts, wait, late) {
    const key = JSON.stringify([facts, wait, late])
    if (key === this.factsShown) return
    this.factsShown = key
    this.facts.replaceChildren(...facts.map(([name, text, about]) => { const f = node("span"); f.title = about; node("i", "", f, name); node("b", "", f, text); return f }))
    if (wait) node("span", "wait", this.facts, wait)
    if (late) node("span", "late", this.facts, late)
  }

  drawTrade() {
    const [legs, mid, natural] = this.head.legs ?? []
    const key = JSON.stringify(this.head.legs ?? [])
    if (key === this.tradeShown) return
    this.tradeShown = key
    this.mark()
    this.trade.replaceChildren()
    this.trade.classList.toggle("on", !!legs)
    if (!legs) return
    for (const [, , strike, right, qty] of legs) node("span", qty > 0 ? "leg up" : "leg down", this.trade, `${qty > 0 ? "+" : "−"}${Math.abs(qty)} ${strike} ${right}`)
    if (legs.length < 2) node("span", "wait", this.trade, "click the other one")
    else for (const [name, v] of [["mid", mid], ["natural", natural]]) { const s = node("span", "", this.trade); node("i", "", s, name); node("b", "", s, v == null ? "–" : `${Math.abs(v).toFixed(name === "mid" ? 3 : 2)} ${v < 0 ? "credit" : "debit"}`) }
    button(this.trade, "×", "Take the legs off", () => this.send("unpick"))
  }

  drawFoot() {
    const at = this.over, flags = at == null ? 0 : this.cells.get("flags")?.[at]
    this.foot.replaceChildren()
    if (!(flags & LISTED)) { node("span", "", this.foot, this.head.n_live ? `${this.head.n_live} contracts live around the money, the others by snapshot` : "") ; return }
    const {place, texts} = this.model, state = this.cells.get("state")?.[at] || 0, quoted = this.cells.get("quoted")?.[at]
    const warned = this.cells.get("warnings")?.[at] || 0
    const parts = [quoted === quoted && quoted != null ? `quoted ${CLOCK.format(quoted * 1000)}` : "quote's time unknown"]
    if (this.head.is_priced) parts.push(texts.status[state & 31], texts.model[state >> 5])
    parts.push(...texts.warnings.filter(([bit]) => warned & bit).map(([, text]) => text))
    node("b", "", this.foot, `${place.root} ${this.strikes[at >> 1]} ${"CP"[at & 1]}`)
    node("span", "", this.foot, parts.filter(Boolean).join(" · "))
    this.foot.title = parts.filter(Boolean).join("\n")
  }

  complain(text) {
    this.foot.replaceChildren()
    node("span", "late", this.foot, text)
    this.foot.title = text
  }

  // -- hands ---------------------------------------------------------------------------------------------------------------

  centre() {
    this.scroller.scrollTop = (this.money.k ?? 0) * ROW - (this.scroller.clientHeight - ROW) / 2
    this.middle()
    this.request()
  }
  middle() { this.scroller.scrollLeft = (this.scroller.scrollWidth - this.scroller.clientWidth) / 2 }
  at(e) {
    const half = e.target.closest?.(".half"), el = e.target.closest?.(".line")
    const line = half && this.pool.find((l) => l.el === el)
    return line ? 2 * line.i + line.halves.indexOf(half) : null
  }
  hover(e) {
    const at = this.at(e)
    if (at === this.over) return
    this.over = at
    this.drawFoot()
  }
  clicked(e) {
    const at = this.at(e)
    if (at == null || !(this.cells.get("flags")?.[at] & LISTED)) return
    const of = {line: at >> 1, right: "CP"[at & 1]}
    if (this.pick) this.send("pick", this.pick, of)
    else this.send("select", null, of)
  }
}

function node(tag, cls, parent, text) {
  const el = document.createElement(tag)
  if (cls) el.className = cls
  if (text != null) el.textContent = text
  parent?.append(el)
  return el
}
function button(parent, text, title, action) {
  const b = node("button", "", parent)
  node("span", "", b, text)
  node("span", "", b)
  Object.assign(b, {type: "button", title})
  b.addEventListener("click", () => { action(); b.blur() })
  return b
}
function short(v) {
  for (const [unit, name] of [[1e9, "B"], [1e6, "M"], [1e4, "K"]]) if (v >= unit) { const u = name === "K" ? 1e3 : unit; return (v / u).toFixed(v >= 100 * u ? 0 : 1) + name }
  return String(Math.round(v))
}
function ago(s) { return s == null ? "" : s < 120 ? `${s} s` : s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h` }
