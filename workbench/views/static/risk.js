// The page of the risk graph: structures and legs, the graph with its sliders, figures, the tile heat map. What it shows comes as
// answers; what a person does goes to the server as one message each, sliders at most one every SLIDE_MS.

const SLIDE_MS = 60
const COLOURS = ["--wb-study1", "--wb-study2", "--wb-study3", "--wb-own", "--wb-vwap", "--wb-study4"]
const STRATEGIES = [["single", "Single"], ["vertical", "Vertical"], ["butterfly", "Butterfly"]]
const KEYS = [["edge", "Edge after costs"], ["natural", "Debit, natural"], ["mid", "Debit, mid"], ["theo", "Debit, theoretical"],
  ["cost_pct", "Debit % of width"], ["reward", "Max profit / debit"], ["legacy", "Old score"]]
const UNITS = {edge: "USD per contract", natural: "USD per share", mid: "USD per share", theo: "USD per share", cost_pct: "% of width", reward: "× debit", legacy: "0–100"}
const PRICES = [["mid", "Mid"], ["natural", "Natural"], ["theo", "Theoretical"]]

export function render({model, view}) {
  guardLayout(view)
  const page = new Page(model)
  const doc = view.model.document
  doc.on_event("connection_lost", () => page.lost(true))
  doc.on_event("client_reconnected", () => page.lost(false))
  model.on("lifecycle:remove", () => page.remove())
  model.send_msg({do: "ready"})
  return page.root
}

class Page {
  constructor(model) {
    this.model = model
    this.answer = null
    this.slides = {}
    this.build()
    for (const p of ["controls", "saved", ...(model.is_docked ? ["picked"] : [])]) model.on(p, () => this.draw())
    model.on("colours", () => this.colour())
    model.on("msg:custom", (event) => this.told(event?.data ?? event))
    this.resize = new ResizeObserver(() => this.fitWidth())
    this.resize.observe(this.canvas.parentNode)
    this.resize.observe(this.root)
    this.onLook = () => { if (model.is_docked) this.repaint() }
    window.addEventListener("workbench:look", this.onLook)
    this.onKey = (e) => this.key(e)
    window.addEventListener("keydown", this.onKey)
    this.colour()
    this.draw()
    window.__workbenchRisk = this
  }

  remove() {
    this.resize.disconnect()
    window.removeEventListener("keydown", this.onKey)
    window.removeEventListener("workbench:look", this.onLook)
    clearInterval(this.awaiting)
  }

  lost(is) {
    this.root.classList.toggle("lost", is)
    clearInterval(this.awaiting)
    if (is) this.awaiting = setInterval(async () => {
      const found = await fetch(new URL("static/js/bokeh.min.js", location), {method: "HEAD", cache: "no-store"}).catch(() => null)
      if (found?.ok && this.root.classList.contains("lost")) location.reload()
    }, 2000)
  }

  send(what, value) { this.model.send_msg({do: what, value}) }

  // Sliders: what is newest goes out, never a queue of what was.
  slide(name, value) {
    this.slides[name] = value
    if (this.sliding) return
    this.sliding = setTimeout(() => { this.sliding = null; const all = this.slides; this.slides = {}; this.send("scenario", all) }, SLIDE_MS)
  }

  told(data) {
    if (data.say) this.say(data.say, data.is_good)
    if (!data.answer) return
    this.answer = data.answer.symbol ? data.answer : {...(this.answer ?? {}), status: data.answer.status}
    this.draw()
  }

  say(text, isGood) {
    const toast = node("div", `toast${isGood ? " good" : ""}`, this.toasts, text)
    toast.addEventListener("click", () => toast.remove())
    setTimeout(() => toast.remove(), 8000)
  }

  key(e) {
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(e.composedPath()[0]?.tagName)
    if (typing || e.ctrlKey || e.metaKey || e.altKey) return
    if (this.model.is_docked) { if (e.key === "0") this.reset() }
    else if (e.key === "/") { e.preventDefault(); this.find.focus(); this.find.select() }
    else if (e.key === "t" || e.key === "T") this.look()
    else if (e.key === "0") this.reset()
    else if (e.key === "Delete" && this.active()) this.send("remove", this.place())
  }

  look() { this.send("look", {theme: this.model.theme === "dark" ? "light" : "dark"}) }
  reset() { this.send("scenario", {when_frac: 0, spot_frac: 0, vol_points: 0}) }

  // the structures of this symbol, as the answer has them; `places` are their numbers at the server
  structures() { return this.answer?.symbol === this.model.controls.symbol ? this.answer.structures ?? [] : [] }
  places() { return this.answer?.places ?? [] }
  active() { return this.structures()[this.places().indexOf(this.model.controls.active)] ?? null }
  place() { return this.model.controls.active }

  // -- parts -------------------------------------------------------------------------------------------------------------

  build() {
    const r = this.root = node("div", `rg${this.model.is_docked ? " docked" : ""}`)
    this.gone = node("div", "gone", r, "Connection lost. Trying again; what is shown is old.")
    const bar = node("div", "bar", r)
    const form = node("form", "find", bar)
    this.find = node("input", "", form)
    Object.assign(this.find, {spellcheck: false, autocomplete: "off", ariaLabel: "Symbol", title: "Symbol of the underlying  /"})
    form.addEventListener("submit", (e) => { e.preventDefault(); this.find.blur(); this.send("symbol", this.find.value) })
    this.expiry = select(bar, "Expiry", (v) => this.send("expiry", v))
    this.spot = node("span", "spot", bar)
    this.move = node("span", "quiet", bar)
    node("span", "sep", bar)
    this.template = select(bar, "Template", () => this.fit())
    for (const name of this.model.templates) option(this.template, name, capital(name))
    this.right = pair(bar, [["C", "Call"], ["P", "Put"]], "C")
    this.side = pair(bar, [["buy", "Buy"], ["sell", "Sell"]], "buy")
    const add = node("button", "main-button", bar, "Add")
    add.title = "Add this template at the money of the expiry chosen"
    add.addEventListener("click", () => this.send("template", {name: this.template.value, right: this.right.value, side: this.side.value}))
    const strip = node("div", "strip-slot", bar)
    if (this.model.strip) strip.append(this.model.get_child("strip"))
    const look = node("button", "icon look", bar, "◐")
    look.title = "Dark or light  T"
    look.addEventListener("click", () => this.look())
    const body = node("div", "body", r), middle = node("div", "middle", body)
    this.buildLeft(node("div", "left", middle))
    this.buildGraph(node("div", "main", middle))
    this.sideBox = node("div", "side", middle)
    this.buildTiles(node("div", "tiles", body))
    this.toasts = node("div", "toasts", r)
    this.fit()
  }

  // What a template does not ask for can't be chosen.
  fit() {
    const name = this.template.value
    this.right.root.classList.toggle("off", !["single", "vertical", "butterfly", "calendar"].includes(name))
    this.side.root.classList.toggle("off", name === "covered call")
    if (name === "iron condor") this.side.choose("sell")
  }

  buildLeft(box) {
    const head = node("div", "head", box, "Structures")
    this.count = node("span", "quiet", head)
    this.list = node("div", "list", box)
    const legsHead = node("div", "head", box, "Legs")
    this.addLeg = node("button", "small", legsHead, "+ leg")
    this.addLeg.title = "Add a leg beside the last one"
    this.addLeg.addEventListener("click", () => this.newLeg(false))
    this.addShares = node("button", "small", legsHead, "+ 100 shares")
    if (this.model.is_docked) {
      this.addPicked = node("button", "small", legsHead)
      this.addPicked.title = "A structure of what is selected or picked in the chain"
      this.addPicked.addEventListener("click", () => this.send("picked", true))
    }
    this.addShares.addEventListener("click", () => this.send("add_leg", {symbol: this.model.controls.symbol, side: "buy", qty: 100}))
    this.legs = node("div", "legs", box)
    const savedHead = node("div", "head", box, "Saved")
    this.saveForm = node("form", "save", savedHead)
    this.saveName = node("input", "", this.saveForm)
    Object.assign(this.saveName, {placeholder: "name", spellcheck: false, autocomplete: "off", ariaLabel: "Name to save under"})
    node("button", "small", this.saveForm, "Save").type = "submit"
    this.saveForm.addEventListener("submit", (e) => { e.preventDefault(); this.send("save", {index: this.place(), name: this.saveName.value}); this.saveName.value = "" })
    this.saved = node("div", "saved", box)
  }

  buildGraph(box) {
    const frame = node("div", "graph", box)
    this.canvas = node("canvas", "", frame)
    this.legend = node("div", "legend", frame)
    this.empty = node("div", "empty", frame)
    this.canvas.addEventListener("pointermove", (e) => { this.at = e.offsetX; this.paint() })
    this.canvas.addEventListener("pointerleave", () => { this.at = null; this.paint() })
    const sliders = node("div", "sliders", box)
    this.when = slider(sliders, "Date", 0, 1, 0.001, 0, (v) => this.slide("when_frac", v))
    this.vol = slider(sliders, "IV", -20, 20, 0.5, 0, (v) => this.slide("vol_points", v))
    this.spotSlide = slider(sliders, "Spot", -0.1, 0.1, 0.0005, 0, (v) => this.slide("spot_frac", v))
    const reset = node("button", "small", sliders, "Reset")
    reset.title = "All sliders to now  0"
    reset.addEventListener("click", () => this.reset())
  }

  buildTiles(box) {
    const head = node("div", "head", box, "Tiles")
    this.strategy = select(head, "Strategy", (v) => this.send("tiles", {strategy: v}))
    for (const [value, text] of STRATEGIES) option(this.strategy, value, text)
    this.tileRight = pair(head, [["C", "Call"], ["P", "Put"]], "C", (v) => this.send("tiles", {right: v}))
    this.tileKey = select(head, "Colour by", (v) => this.send("tiles", {key: v}))
    for (const [value, text] of KEYS) option(this.tileKey, value, text)
    const vix = node("label", "vix", head, "VIX")
    this.vix = node("input", "", vix)
    Object.assign(this.vix, {inputMode: "decimal", placeholder: "–", title: "For the old score alone"})
    this.vix.addEventListener("change", () => { const v = parseFloat(this.vix.value); this.send("tiles", {vix: v > 0 ? v : null}) })
    this.tileNote = node("span", "quiet note", head)
    const body = node("div", "tile-body", box)
    this.grid = node("div", "tile-grid", body)
    this.ranking = node("div", "ranking", body)
    this.tip = node("div", "tip", box)
    this.grid.addEventListener("click", (e) => { const t = e.composedPath()[0]?.dataset; if (t?.strike) this.pickTile(+t.strike, +t.width) })
    this.grid.addEventListener("pointermove", (e) => this.tipAt(e))
    this.grid.addEventListener("pointerleave", () => { this.tip.style.display = "none" })
  }

  pickTile(strike, width, right) {
    const t = this.answer.tiles
    this.send("tile", {strategy: t.strategy, right: right ?? t.right, root: t.root, expiry: t.expiry, strike, width})
  }

  newLeg(isNew) {
    const a = this.answer, own = this.active(), legs = own?.legs ?? [], last = legs[legs.length - 1]
    if (!a?.strikes?.length) return this.say("No chain is loaded: nothing to choose a leg from.")
    const day = last?.expiry || a.expiry, right = last?.right || "C", root = last?.root || a.tiles?.root || a.symbol
    const taken = new Set(legs.filter((l) => l.right === right && l.expiry === day).map((l) => l.strike))
    const from = last?.strike ?? a.spot
    const strike = [...a.strikes].filter((k) => !taken.has(k)).sort((x, y) => Math.abs(x - from) - Math.abs(y - from) || x - y)[0]
    this.send("add_leg", {symbol: occ(root, day, right, strike), side: last?.side === "buy" ? "sell" : "buy", is_new: isNew || !own})
  }

  // -- drawing -----------------------------------------------------------------------------------------------------------

  fitWidth() {
    const width = this.root.clientWidth
    this.root.classList.toggle("narrow", width > 0 && width < 900)
    this.root.classList.toggle("slim", width > 0 && width < 390)
    this.paint()
  }

  repaint() { requestAnimationFrame(() => { this.drawTiles(true); this.paint() }) }

  colour() {
    if (this.model.is_docked) return this.repaint()
    const style = document.documentElement.style
    for (const [name, value] of Object.entries(this.model.colours)) style.setProperty(`--wb-${name.replaceAll("_", "-")}`, value)
    window.dispatchEvent(new CustomEvent("workbench:look"))
    style.colorScheme = this.model.theme
    style.background = this.model.colours.background
    this.repaint()
  }

  draw() {
    const c = this.model.controls, a = this.answer
    const isHere = a && a.symbol === c.symbol
    if (this.root.activeElement !== this.find && document.activeElement !== this.find) this.find.value = c.symbol
    options(this.expiry, isHere ? a.expiries.map(([day, dte]) => [day, `${dayText(day)} · ${dte}d`]) : [], isHere ? a.expiry : "")
    put(this.spot, isHere ? fixed(a.spot, 2) : "–")
    put(this.move, isHere && a.asof ? `${a.asof}   IV ${pct(a.atm_iv)}   ±${fixed(a.move, 2)}` : "")
    this.move.title = "New York time of the chain, volatility at the money, expected move to this expiry"
    if (this.addPicked) { put(this.addPicked, `+ ${this.model.picked}`); this.addPicked.style.display = this.model.picked ? "" : "none" }
    this.drawList()
    this.drawLegs()
    this.drawSaved()
    this.drawSliders()
    this.drawFigures()
    this.drawTiles()
    this.paint()
  }

  drawList() {
    const all = this.structures(), places = this.places()
    put(this.count, all.length ? `${all.length} of 6` : "")
    keep(this.list, JSON.stringify([all.map((s) => [s.name, s.is_shown, s.basis, s.legs.map((l) => [l.label, l.side, l.qty])]), places, this.place()]), () => {
      if (!all.length) node("div", "hint", this.list, "Nothing yet. Add a template, click a tile, or build one leg by leg.")
      all.forEach((s, i) => {
        const row = node("div", `item${places[i] === this.place() ? " on" : ""}`, this.list)
        const eye = node("button", "swatch", row)
        eye.style.setProperty("--c", `var(${COLOURS[i % COLOURS.length]})`)
        eye.classList.toggle("hidden", !s.is_shown)
        eye.title = s.is_shown ? "Hide on the graph" : "Show on the graph"
        eye.addEventListener("click", (e) => { e.stopPropagation(); this.send("show", places[i]) })
        const text = node("div", "what", row)
        node("b", "", text, capital(s.name || "structure"))
        node("span", "", text, words(s.legs))
        s.now = node("span", "pl", row)
        s.now.dataset.i = i
        const turn = node("button", "icon", row, "⇅")
        turn.title = "Reverse: buy what is sold, sell what is bought"
        turn.addEventListener("click", (e) => { e.stopPropagation(); this.send("reverse", places[i]) })
        const close = node("button", "icon", row, "×")
        close.title = "Remove"
        close.addEventListener("click", (e) => { e.stopPropagation(); this.send("remove", places[i]) })
        row.addEventListener("click", () => this.send("active", places[i]))
      })
    })
    this.list.querySelectorAll(".pl").forEach((el) => { const v = all[el.dataset.i]?.profit; put(el, signed(v, 0)); el.className = `pl ${tone(v)}` })
  }

  drawLegs() {
    const s = this.active(), a = this.answer
    const key = JSON.stringify([s?.legs.map((l) => [l.symbol, l.side, l.qty]), a?.strikes?.length, this.place()])
    keep(this.legs, key, () => {
      if (!s) return void node("div", "hint", this.legs, "Legs of the chosen structure are edited here.")
      const head = node("div", "leg head-row", this.legs)
      for (const t of ["", "Qty", "Expiry", "Strike", "", "Bid", "Ask", "IV", ""]) node("span", "", head, t)
      s.legs.forEach((l, k) => this.legRow(l, k))
    })
    s?.legs.forEach((l, k) => {
      const row = this.legs.querySelector(`[data-leg="${k}"]`)
      if (!row) return
      put(row.querySelector(".bid"), fixed(l.bid, 2))
      put(row.querySelector(".ask"), fixed(l.ask, 2))
      put(row.querySelector(".iv"), l.right ? pct(l.iv) : "")
      row.classList.toggle("bad", !!l.status)
      row.title = `${l.label}${l.status ? `: ${l.status}` : ""}\nmid ${fixed(l.mid, 2)}, theoretical ${fixed(l.theo, 2)}${l.delta == null ? "" : `, delta ${l.delta.toFixed(2)}`}`
    })
    this.addShares.style.display = s && !s.legs.some((l) => !l.right) ? "" : "none"
  }

  legRow(l, k) {
    const row = node("div", "leg", this.legs)
    row.dataset.leg = k
    const side = node("button", `side ${l.side}`, row, l.side === "buy" ? "Buy" : "Sell")
    side.title = "Buy or sell"
    side.addEventListener("click", () => this.send("leg", {leg: k, flip: true}))
    const qty = node("input", "qty", row)
    Object.assign(qty, {value: l.qty, inputMode: "numeric", ariaLabel: "Quantity"})
    qty.addEventListener("change", () => this.send("leg", {leg: k, qty: Math.max(1, Math.round(+qty.value) || l.qty)}))
    if (l.right) {
      const day = select(row, "Expiry of this leg", (v) => this.send("leg", {leg: k, expiry: v}))
      const days = (this.answer?.expiries ?? []).map(([d]) => [d, dayText(d)])
      options(day, days.some(([d]) => d === l.expiry) ? days : [[l.expiry, dayText(l.expiry)], ...days], l.expiry)
      const strike = node("div", "step", row)
      const list = this.answer?.strikes ?? []
      const go = (by) => { const at = list.indexOf(l.strike); const to = at < 0 ? list.reduce((b, x) => Math.abs(x - l.strike) < Math.abs(b - l.strike) ? x : b, list[0]) : list[at + by]; if (to != null) this.send("leg", {leg: k, strike: to}) }
      const down = node("button", "", strike, "−")
      const k = node("span", "k", strike, String(l.strike))
      if (this.model.is_docked) { k.title = "Select this contract"; k.addEventListener("click", () => this.send("select", l.symbol)) }
      const up = node("button", "", strike, "+")
      down.addEventListener("click", () => go(-1))
      up.addEventListener("click", () => go(1))
      strike.addEventListener("wheel", (e) => { e.preventDefault(); go(e.deltaY < 0 ? 1 : -1) }, {passive: false})
      const right = node("button", "right", row, l.right)
      right.title = "Call or put"
      right.addEventListener("click", () => this.send("leg", {leg: k, right: l.right === "C" ? "P" : "C"}))
    } else {
      node("span", "wide", row, "shares")
    }
    for (const cls of ["bid", "ask", "iv"]) node("span", `n ${cls}`, row)
    const drop = node("button", "icon", row, "×")
    drop.title = "Remove this leg"
    drop.addEventListener("click", () => this.send("drop_leg", k))
  }

  drawSaved() {
    const saved = this.model.saved
    this.saveForm.classList.toggle("off", !this.active())
    keep(this.saved, JSON.stringify(saved), () => {
      if (!saved.length) node("div", "hint", this.saved, "Saved structures stay on the shelf between days.")
      for (const item of saved) {
        const row = node("div", "item", this.saved)
        const text = node("div", "what", row)
        node("b", "", text, item.name)
        node("span", "", text, `${item.underlying}  ${item.legs}`)
        row.title = "Load"
        row.addEventListener("click", () => this.send("load", item.name))
        const close = node("button", "icon", row, "×")
        close.title = "Forget"
        close.addEventListener("click", (e) => { e.stopPropagation(); this.send("forget", item.name) })
      }
    })
  }

  drawSliders() {
    const s = this.model.controls.scenario, a = this.answer?.symbol === this.model.controls.symbol ? this.answer : null
    this.when.set(s.when_frac, a?.horizon_hours ? `${s.when_frac ? a.then : "now"}` : "–")
    this.when.root.title = a?.horizon_hours ? `From now to ${a.horizon}, the first expiry of what is shown; New York` : ""
    this.vol.set(s.vol_points, `${signed(s.vol_points, 1)} pts`)
    const reach = this.reach()
    this.spotSlide.input.min = -reach
    this.spotSlide.input.max = reach
    this.spotSlide.set(s.spot_frac, a?.spot ? `${fixed(a.spot * (1 + s.spot_frac), 2)}  ${signed(100 * s.spot_frac, 2)} %` : "–")
    for (const [part, v] of [[this.when, s.when_frac], [this.vol, s.vol_points], [this.spotSlide, s.spot_frac]]) part.root.classList.toggle("moved", !!v)
  }

  reach() {
    const a = this.answer, spots = a?.spots
    return spots?.length && a.spot ? Math.max(0.002, Math.round(Math.min(a.spot - spots[0], spots[spots.length - 1] - a.spot) / a.spot * 2000) / 2000) : 0.1
  }

  drawFigures() {
    const s = this.active(), box = this.sideBox, c = this.model.controls.scenario
    keep(box, JSON.stringify([s, c, this.answer?.then, this.answer?.assumed]), () => {
      if (!s) return void node("div", "hint", box, "Cost, outcome and greeks of the chosen structure stand here.")
      const prices = node("div", "block", box)
      const head = node("div", "trio", prices)
      for (const [key, text] of PRICES) {
        const cell = node("button", `price${s.basis === key ? " on" : ""}`, head)
        cell.title = {mid: "Between bid and ask of every leg: a hope", natural: "Buy at the ask, sell at the bid: what is sure to be had", theo: "By the smile fitted through the expiry's quotes"}[key]
        node("span", "", cell, text)
        node("b", "", cell, s.prices[key] == null ? "–" : fixed(Math.abs(s.prices[key] / s.per_share), 2))
        node("i", "", cell, s.prices[key] == null ? "" : s.prices[key] >= 0 ? "debit" : "credit")
        cell.addEventListener("click", () => { if (s.basis === "entry") this.send("fix", {index: this.place(), entry_usd: null}); this.send("scenario", {basis: key}) })
      }
      const entry = node("div", "entry", prices)
      const isFixed = s.basis === "entry"
      node("span", "", entry, isFixed ? `Entered for ${money(s.prices.entry)}` : `Cost ${money(s.cost)}, by ${PRICES.find(([k]) => k === s.basis)[1].toLowerCase()}`)
      const fix = node("button", "small", entry, isFixed ? "Float" : "Fix")
      fix.title = isFixed ? "Let the cost follow the market again" : "Keep this cost as the entry"
      fix.disabled = !isFixed && s.cost == null
      fix.addEventListener("click", () => this.send("fix", {index: this.place(), entry_usd: isFixed ? null : s.cost}))
      const out = node("div", "block", box)
      title(out, s.is_exact ? "At expiry" : "At the first expiry, by model")
      line(out, "Max profit", s.best === "unlimited" ? "unlimited" : cents(s.best), s.best === "unlimited" ? "up" : tone(s.best))
      line(out, "Max loss", s.worst === "unlimited" ? "unlimited" : cents(s.worst), s.worst === "unlimited" ? "down" : tone(s.worst))
      const ratio = typeof s.best === "number" && typeof s.worst === "number" && s.worst < 0 && s.best > 0 ? (s.best / -s.worst).toFixed(2) : "–"
      line(out, "Profit / loss", ratio)
      const spot = this.answer.spot
      s.break_evens.forEach((b, i) => line(out, i ? "" : s.break_evens.length > 1 ? "Break-evens" : "Break-even", `${fixed(b, 2)}`, "", spot ? `${signed(100 * (b / spot - 1), 2)} %` : ""))
      if (!s.break_evens.length) line(out, "Break-even", "–")
      line(out, "Chance of profit", s.p_profit == null ? "–" : `${(100 * s.p_profit).toFixed(1)} %`, "", s.p_vol == null ? "" : `IV ${pct(s.p_vol)}`)
      if (s.prices.exit != null) line(out, "Closing at once", `${fixed(Math.abs(s.prices.exit), 2)}`, "", s.prices.exit >= 0 ? "received" : "paid")
      const g = s.greeks, then = node("div", "block", box)
      title(then, c.when_frac || c.vol_points || c.spot_frac ? "What if" : "Now")
      line(then, "Profit / loss", cents(s.profit), tone(s.profit))
      line(then, "Delta", signed(g?.delta_usd, 1), "", "USD / 1 %")
      line(then, "", signed(g?.delta_shares, 1), "", "shares")
      line(then, "Gamma", signed(g?.gamma_usd, 1), "", "USD Δ / 1 %")
      line(then, "Vega", signed(g?.vega, 2), "", "USD / point")
      line(then, "Theta", signed(g?.theta, 2), "", "USD / day")
      line(then, "Rho", signed(g?.rho, 2), "", "USD / 1 %")
      if (s.notes.length) {
        const notes = node("div", "block notes", box)
        for (const note of s.notes) node("p", s.is_bad ? "bad" : "", notes, note)
      }
      const assumed = node("div", "block quiet assumed", box)
      for (const text of this.answer.assumed) node("p", "", assumed, text)
    })
  }

  drawTiles(isForced) {
    const t = this.answer?.symbol === this.model.controls.symbol ? this.answer.tiles : null
    const c = this.model.controls.tiles
    this.strategy.value = c.strategy
    this.tileKey.value = c.key
    this.tileRight.choose(c.right, true)
    if (document.activeElement !== this.vix && this.root.getRootNode().activeElement !== this.vix) this.vix.value = c.vix ?? ""
    this.vix.parentNode.style.display = c.strategy === "butterfly" ? "" : "none"
    if (!t) { put(this.tileNote, this.answer?.status || "Loading…"); this.tileShape = null; keep(this.grid, "none", () => {}); keep(this.ranking, "none", () => {}); return }
    put(this.tileNote, [`${dayText(t.expiry)} ${t.root}, ${UNITS[t.key]}`, t.looked_at, ...t.notes].filter(Boolean).join(" · "))
    this.tileNote.title = [this.tileNote.textContent, ...Object.entries(t.left_out).map(([why, n]) => `${n} ${why}`)].join("\n")
    keep(this.grid, JSON.stringify([t.strikes, t.widths, t.strategy]), () => this.layTiles(t))
    const shape = JSON.stringify([t.values, t.statuses, t.key, t.right, this.model.theme])
    if (isForced || shape !== this.tileShape) { this.tileShape = shape; this.fillTiles(t) }
    keep(this.ranking, JSON.stringify(t.ranking), () => this.drawRanking(t))
  }

  layTiles(t) {
    this.grid.style.gridTemplateColumns = `46px repeat(${t.strikes.length}, minmax(40px, 1fr))`
    node("div", "corner", this.grid, t.widths.length > 1 ? "width" : "")
    const middle = t.forward == null ? -1 : t.strikes.reduce((b, k, i) => Math.abs(k - t.forward) < Math.abs(t.strikes[b] - t.forward) ? i : b, 0)
    t.strikes.forEach((k, i) => node("div", `col${i === middle ? " atm" : ""}`, this.grid, String(k)))
    this.cells = t.widths.map((w) => {
      node("div", "rowhead", this.grid, w ? String(w) : "")
      return t.strikes.map((k) => { const cell = node("div", "tile", this.grid); cell.dataset.strike = k; cell.dataset.width = w; return cell })
    })
    const atm = this.grid.querySelector(".atm")
    if (atm) requestAnimationFrame(() => { this.grid.scrollLeft = atm.offsetLeft - this.grid.clientWidth / 2 })
  }

  fillTiles(t) {
    const known = t.values.flat().filter((v) => v != null).sort((a, b) => a - b)
    const size = known.map(Math.abs).sort((a, b) => a - b)
    const rank = (list, v) => { let low = 0, high = list.length; while (low < high) { const m = (low + high) >> 1; if (list[m] < v) low = m + 1; else high = m } return list.length > 1 ? low / (list.length - 1) : 1 }
    const digits = t.key === "edge" ? 0 : t.key === "legacy" || t.key === "cost_pct" || t.key === "reward" ? 1 : 2
    t.values.forEach((line, i) => line.forEach((v, j) => {
      const cell = this.cells?.[i]?.[j]
      if (!cell) return
      put(cell, v == null ? (t.statuses[i][j] ? "·" : "–") : t.key === "edge" ? signed(v, digits) : v.toFixed(v >= 100 ? 0 : digits))
      const strength = v == null ? 0 : t.key === "edge" ? (v > 0 ? 35 + 45 * rank(size, v) : 6 + 44 * rank(size, -v)) : 6 + 52 * rank(known, v)
      const colour = t.key === "edge" ? (v > 0 ? "--wb-up" : "--wb-down") : "--wb-accent"
      cell.style.background = v == null ? "" : `color-mix(in srgb, var(${colour}) ${strength.toFixed(0)}%, var(--wb-background))`
      cell.classList.toggle("none", v == null)
    }))
  }

  tipAt(e) {
    const data = e.composedPath()[0]?.dataset, t = this.answer?.tiles
    if (!data?.strike || !t) return void (this.tip.style.display = "none")
    const i = t.widths.indexOf(+data.width), j = t.strikes.indexOf(+data.strike), v = t.values[i]?.[j], why = t.statuses[i]?.[j]
    const name = `${data.strike}${t.right}${+data.width ? ` ± ${data.width}`.replace("±", t.strategy === "vertical" ? (t.right === "C" ? "/ +" : "/ −") : "±") : ""}`
    put(this.tip, `${capital(t.strategy)} ${name}   ${v == null ? why || "no number" : `${v} ${UNITS[t.key]}`}${why && v != null ? `, ${why}` : ""}   click: into the graph`)
    this.tip.style.display = "block"
    const box = this.tip.parentNode.getBoundingClientRect()
    this.tip.style.left = `${Math.min(e.clientX - box.left + 14, box.width - this.tip.offsetWidth - 6)}px`
    this.tip.style.top = `${e.clientY - box.top - 30}px`
  }

  drawRanking(t) {
    if (!t.ranking.length) return void node("div", "hint", this.ranking, t.strategy === "butterfly" ? "No butterfly could be rated." : "Butterflies are ranked by the selector; choose that strategy.")
    const head = node("div", "rank head-row", this.ranking)
    for (const text of ["Butterfly", "Debit", "Fair", "Edge $", "P", "Old"]) node("span", "", head, text)
    for (const r of t.ranking) {
      const row = node("div", "rank", this.ranking)
      node("span", "", row, `${r.strike}${r.right} ± ${r.width}`)
      node("span", "", row, fixed(r.natural, 2))
      node("span", "", row, fixed(r.fair, 2))
      node("span", tone(r.edge), row, signed(r.edge, 1))
      node("span", "", row, r.p == null ? "–" : `${(100 * r.p).toFixed(0)}%`)
      node("span", "", row, r.legacy == null ? "–" : r.legacy.toFixed(0))
      row.title = `edge ${fixed(r.in_errors, 1)} standard errors of the fit; old score's parts: convexity ${fixed(r.parts[0], 0)}, r2r ${fixed(r.parts[1], 0)}, width ${fixed(r.parts[2], 0)}, gamma ${fixed(r.parts[3], 0)}`
      row.addEventListener("click", () => this.pickTile(r.strike, r.width, r.right))
    }
  }

  // -- the graph ---------------------------------------------------------------------------------------------------------

  paint() {
    if (this.painting) return
    this.painting = requestAnimationFrame(() => { this.painting = null; this.paintNow() })
  }

  paintNow() {
    const box = this.canvas.parentNode, w = box.clientWidth, h = box.clientHeight, a = this.answer
    if (!w || !h) return
    const ratio = window.devicePixelRatio || 1
    if (this.canvas.width !== Math.round(w * ratio) || this.canvas.height !== Math.round(h * ratio)) Object.assign(this.canvas, {width: Math.round(w * ratio), height: Math.round(h * ratio)})
    const g = this.canvas.getContext("2d"), css = getComputedStyle(this.root), ink = (name) => css.getPropertyValue(name).trim()
    g.setTransform(ratio, 0, 0, ratio, 0, 0)
    g.fillStyle = ink("--wb-background")
    g.fillRect(0, 0, w, h)
    const all = this.structures().map((s, i) => ({...s, i})), shown = all.filter((s) => s.is_shown && s.line)
    const lines = shown.flatMap((s) => [s.line.expiry, s.line.then]).filter((l) => l.some((v) => v != null))
    this.tell(shown, a)
    if (!lines.length || !a?.spots?.length || a.symbol !== this.model.controls.symbol) return void (this.drawn = null)
    const right = 64, bottom = 22, top = 30, spots = a.spots
    const values = lines.flat().filter((v) => v != null)
    let low = Math.min(0, ...values), high = Math.max(0, ...values)
    const pad = (high - low || 1) * 0.07
    low -= pad; high += pad
    const x = (s) => (s - spots[0]) / (spots[spots.length - 1] - spots[0]) * (w - right)
    const y = (v) => top + (high - v) / (high - low) * (h - top - bottom)
    this.drawn = {x, spots, width: w - right}
    g.font = "11px system-ui, sans-serif"
    g.save()
    g.beginPath(); g.rect(0, 0, w - right, h - bottom); g.clip()
    if (a.move && a.spot) {
      g.fillStyle = ink("--wb-shade")
      g.fillRect(x(a.spot - a.move), top, x(a.spot + a.move) - x(a.spot - a.move), h - top - bottom)
    }
    g.restore()
    this.axes(g, ink, {x, y, low, high, w, h, right, bottom, top, spots})
    g.save()
    g.beginPath(); g.rect(0, top - 6, w - right, h - bottom - top + 6); g.clip()
    const chosen = shown.find((s) => this.places()[s.i] === this.place())
    if (chosen) this.fillOutcome(g, ink, chosen.line.expiry, spots, x, y)
    for (const s of [...shown.filter((s) => s !== chosen), ...(chosen ? [chosen] : [])]) {
      const tint = ink(COLOURS[s.i % COLOURS.length])
      stroke(g, tint, s === chosen ? 2 : 1.25, [], s.line.expiry, spots, x, y)
      stroke(g, tint, s === chosen ? 1.5 : 1, [5, 4], s.line.then, spots, x, y)
    }
    g.restore()
    const now = this.model.controls.scenario
    vertical(g, x(a.spot), top, h - bottom, ink("--wb-muted"), [3, 3])
    tag(g, x(a.spot), h - bottom, fixed(a.spot, 2), ink("--wb-cross-tag"), ink("--wb-tag-text"), w - right)
    if (now.spot_frac) {
      vertical(g, x(a.spot * (1 + now.spot_frac)), top, h - bottom, ink("--wb-warning"), [])
      tag(g, x(a.spot * (1 + now.spot_frac)), h - bottom, fixed(a.spot * (1 + now.spot_frac), 2), ink("--wb-warning"), ink("--wb-on-warning"), w - right)
    }
    if (chosen) for (const b of chosen.break_evens) this.mark(g, ink, x(b), y(0), fixed(b, 2), w - right)
    if (chosen?.profit != null && a.spot) {
      const px = x(a.spot * (1 + now.spot_frac)), py = y(chosen.profit)
      g.fillStyle = ink("--wb-background"); g.strokeStyle = ink(COLOURS[chosen.i % COLOURS.length]); g.lineWidth = 2
      g.beginPath(); g.arc(px, py, 4, 0, 7); g.fill(); g.stroke()
    }
    if (this.at != null && this.at < w - right) this.cross(g, ink, shown, {x, y, w, h, right, bottom, top, spots})
  }

  axes(g, ink, {x, y, low, high, w, h, right, bottom, top, spots}) {
    g.lineWidth = 1
    g.textBaseline = "middle"
    for (const v of ticks(low, high, Math.max(3, Math.round((h - top) / 48)))) {
      const py = Math.round(y(v)) + 0.5
      if (py < top - 4) continue
      g.strokeStyle = ink(v === 0 ? "--wb-faint" : "--wb-grid")
      g.beginPath(); g.moveTo(0, py); g.lineTo(w - right, py); g.stroke()
      g.fillStyle = ink("--wb-muted"); g.textAlign = "right"
      g.fillText(whole(v), w - 8, py)
    }
    g.textAlign = "center"
    for (const s of ticks(spots[0], spots[spots.length - 1], Math.max(3, Math.round((w - right) / 90)))) {
      const px = Math.round(x(s)) + 0.5
      if (px < 18 || px > w - right - 18) continue
      g.strokeStyle = ink("--wb-grid")
      g.beginPath(); g.moveTo(px, top); g.lineTo(px, h - bottom); g.stroke()
      g.fillStyle = ink("--wb-muted")
      g.fillText(short(s), px, h - bottom / 2)
    }
    g.strokeStyle = ink("--wb-line")
    g.beginPath(); g.moveTo(w - right + 0.5, 0); g.lineTo(w - right + 0.5, h - bottom); g.moveTo(0, h - bottom + 0.5); g.lineTo(w, h - bottom + 0.5); g.stroke()
  }

  fillOutcome(g, ink, values, spots, x, y) {
    for (const [isUp, name] of [[true, "--wb-up"], [false, "--wb-down"]]) {
      g.beginPath()
      let open = false
      values.forEach((v, i) => {
        if (v == null) return
        const value = isUp ? Math.max(v, 0) : Math.min(v, 0)
        if (!open) { g.moveTo(x(spots[i]), y(0)); open = true }
        const before = values[i - 1]
        if (before != null && before * v < 0) { const s = spots[i - 1] + (spots[i] - spots[i - 1]) * before / (before - v); g.lineTo(x(s), y(0)) }
        g.lineTo(x(spots[i]), y(value))
      })
      g.lineTo(x(spots[spots.length - 1]), y(0))
      g.closePath()
      g.globalAlpha = 0.13
      g.fillStyle = ink(name)
      g.fill()
      g.globalAlpha = 1
    }
  }

  mark(g, ink, px, py, text, most) {
    if (px < 0 || px > most) return
    g.fillStyle = ink("--wb-text")
    g.beginPath(); g.arc(px, py, 3, 0, 7); g.fill()
    const half = g.measureText(text).width / 2 + 4, at = Math.min(Math.max(px, half), most - half)
    g.fillStyle = ink("--wb-background"); g.globalAlpha = 0.8; g.fillRect(at - half, py + 6, 2 * half, 15); g.globalAlpha = 1
    g.fillStyle = ink("--wb-text"); g.textAlign = "center"; g.textBaseline = "middle"
    g.fillText(text, at, py + 14)
  }

  cross(g, ink, shown, {x, y, w, h, right, bottom, top, spots}) {
    const s = spots[0] + this.at / (w - right) * (spots[spots.length - 1] - spots[0])
    vertical(g, this.at, top, h - bottom, ink("--wb-cross"), [2, 3])
    const spot = this.answer.spot
    tag(g, this.at, h - bottom, `${fixed(s, 2)}  ${signed(100 * (s / spot - 1), 2)} %`, ink("--wb-cross-tag"), ink("--wb-tag-text"), w - right)
    for (const one of shown) {
      const v = at(one.line.expiry, spots, s)
      if (v == null) continue
      g.fillStyle = ink(COLOURS[one.i % COLOURS.length])
      g.beginPath(); g.arc(this.at, y(v), 3, 0, 7); g.fill()
    }
    const head = shown.find((one) => this.places()[one.i] === this.place()) ?? shown[0]
    const v = head && at(head.line.expiry, spots, s)
    if (v == null) return
    g.fillStyle = ink("--wb-cross-tag"); g.fillRect(w - right + 1, y(v) - 8, right - 1, 16)
    g.fillStyle = ink("--wb-tag-text"); g.textAlign = "right"; g.textBaseline = "middle"; g.fillText(signed(v, 0), w - 8, y(v))
  }

  // The legend, and what stands in place of a graph.
  tell(shown, a) {
    const s = this.at != null && this.drawn ? this.drawn.spots[0] + this.at / this.drawn.width * (this.drawn.spots[this.drawn.spots.length - 1] - this.drawn.spots[0]) : null
    const rows = shown.map((one) => [one, s == null ? null : at(one.line.expiry, a.spots, s), s == null ? null : at(one.line.then, a.spots, s)])
    keep(this.legend, JSON.stringify([rows.map(([o, e, t]) => [o.i, o.name, o.legs.map((l) => [l.label, l.side, l.qty]), e, t]), a?.then, s]), () => {
      for (const [one, end, then] of rows) {
        const row = node("div", "", this.legend)
        row.style.setProperty("--c", `var(${COLOURS[one.i % COLOURS.length]})`)
        node("b", "", row, capital(one.name))
        node("span", "solid", row, `expiry ${end == null ? "" : signed(end, 0)}`)
        node("span", "dash", row, `${this.model.controls.scenario.when_frac ? a.then : "now"} ${then == null ? "" : signed(then, 0)}`)
      }
    })
    const nothing = !this.structures().length, dark = this.structures().filter((o) => o.is_shown && o.cost == null)
    const waiting = a?.status || (a && a.symbol !== this.model.controls.symbol) || !a
    const text = waiting ? a?.status || "Loading the chain…" : nothing ? "Add a structure: a template above, or a click on a tile below." : !shown.length ? "Every structure is hidden." : dark.length === shown.length ? `No ${dark[0].basis} price: ${dark[0].notes[0] ?? "a quote is missing"}.` : ""
    put(this.empty, text)
    this.empty.classList.toggle("on", !!text)
  }
}

// A page that is being laid out before its children are there would fail; it is laid out again when they are.
function guardLayout(view) {
  const compute = view.compute_layout.bind(view)
  const isBare = (v) => v.child_views.some((child) => child.frame_view ? !child.layout : child.child_views && isBare(child))
  view.compute_layout = () => {
    if (isBare(view)) view.update_layout()
    compute()
  }
}

function node(tag, cls, parent, text) {
  const el = document.createElement(tag)
  if (cls) el.className = cls
  if (text != null) el.textContent = text
  parent?.append(el)
  return el
}
function put(el, text) { if (el && el.textContent !== text) el.textContent = text }
// Build a part anew only when what it shows is another.
function keep(box, key, build) { if (box.dataset.key === key) return; box.dataset.key = key; box.replaceChildren(); build() }
function option(list, value, text) { const o = node("option", "", list, text); o.value = value; return o }
function options(list, items, value) {
  const key = JSON.stringify(items)
  if (list.dataset.key !== key) { list.dataset.key = key; list.replaceChildren(); for (const [v, text] of items) option(list, v, text) }
  if (list.getRootNode().activeElement !== list) list.value = value
}
function select(parent, name, on) {
  const list = node("select", "", parent)
  list.ariaLabel = name
  list.title = name
  list.addEventListener("change", () => { on(list.value); list.blur() })
  return list
}
function pair(parent, items, first, on) {
  const root = node("div", "pair", parent), self = {root, value: first}
  self.choose = (value) => { self.value = value; for (const b of root.children) b.classList.toggle("on", b.dataset.v === value) }
  for (const [value, text] of items) {
    const b = node("button", "", root, text)
    b.dataset.v = value
    b.addEventListener("click", () => { self.choose(value); on?.(value) })
  }
  self.choose(first)
  return self
}
function slider(parent, name, low, high, step, home, on) {
  const root = node("label", "slider", parent)
  node("span", "name", root, name)
  const input = node("input", "", root), value = node("b", "", root), end = node("i", "", root)
  Object.assign(input, {type: "range", min: low, max: high, step, value: home, ariaLabel: name, title: "Double click: back"})
  input.addEventListener("input", () => on(+input.value))
  input.addEventListener("dblclick", () => on(home))
  let held = false
  input.addEventListener("pointerdown", () => { held = true })
  input.addEventListener("pointerup", () => { held = false })
  return {root, input, end, set: (v, text) => { if (!held) input.value = v; put(value, text) }}
}
function title(box, text) { node("div", "title", box, text) }
function line(box, name, value, cls, unit) {
  const row = node("div", "line", box)
  node("span", "", row, name)
  node("b", cls ?? "", row, value)
  node("i", "", row, unit ?? "")
}
function stroke(g, colour, width, dash, values, spots, x, y) {
  g.strokeStyle = colour; g.lineWidth = width; g.setLineDash(dash); g.lineJoin = "round"
  g.beginPath()
  let open = false
  values.forEach((v, i) => { if (v == null) { open = false; return } open ? g.lineTo(x(spots[i]), y(v)) : g.moveTo(x(spots[i]), y(v)); open = true })
  g.stroke()
  g.setLineDash([])
}
function vertical(g, px, top, bottom, colour, dash) {
  g.strokeStyle = colour; g.lineWidth = 1; g.setLineDash(dash)
  g.beginPath(); g.moveTo(Math.round(px) + 0.5, top); g.lineTo(Math.round(px) + 0.5, bottom); g.stroke()
  g.setLineDash([])
}
function tag(g, px, py, text, back, front, most) {
  const half = g.measureText(text).width / 2 + 6, at = Math.min(Math.max(px, half), most - half)
  g.fillStyle = back; g.fillRect(at - half, py + 2, 2 * half, 18)
  g.fillStyle = front; g.textAlign = "center"; g.textBaseline = "middle"; g.fillText(text, at, py + 11)
}
function at(values, spots, s) {
  let i = 1
  while (i < spots.length - 1 && spots[i] < s) i += 1
  const a = values[i - 1], b = values[i]
  return a == null || b == null ? null : a + (b - a) * (s - spots[i - 1]) / (spots[i] - spots[i - 1])
}
function ticks(low, high, wanted) {
  const raw = (high - low) / wanted, base = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 2.5, 5, 10].find((m) => m * base >= raw) * base
  const out = []
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) out.push(Math.abs(v) < step * 1e-9 ? 0 : v)
  return out
}
function words(legs) { return legs.map((l) => `${l.side === "buy" ? "+" : "−"}${l.qty} ${l.right ? `${l.strike}${l.right}` : "sh"}`).join("  ") + (legs.some((l) => l.expiry) ? `   ${[...new Set(legs.filter((l) => l.expiry).map((l) => dayText(l.expiry)))].join(" / ")}` : "") }
function occ(root, day, right, strike) { return `O:${root}${day.slice(2).replaceAll("-", "")}${right}${String(Math.round(strike * 1000)).padStart(8, "0")}` }
function dayText(day) { const [y, m, d] = day.split("-").map(Number); return `${d} ${["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][m - 1]}${y > new Date().getFullYear() ? ` ’${String(y).slice(2)}` : ""}` }
function capital(text) { return text ? text[0].toUpperCase() + text.slice(1) : "" }
function tone(v) { return v > 0 ? "up" : v < 0 ? "down" : "" }
function fixed(v, d) { return v == null ? "–" : v.toLocaleString("en-US", {minimumFractionDigits: d, maximumFractionDigits: d}) }
function pct(v) { return v == null ? "–" : `${(100 * v).toFixed(1)} %` }
function signed(v, d) {
  if (v == null) return "–"
  const text = Math.abs(v).toLocaleString("en-US", {minimumFractionDigits: d, maximumFractionDigits: d})
  return Number(Math.abs(v).toFixed(d)) === 0 ? text : (v > 0 ? "+" : "−") + text
}
function cents(v) { return signed(v, Math.abs(v) < 10_000 ? 2 : 0) }
function money(v) { return v == null ? "–" : `${fixed(Math.abs(v), 2)} ${v >= 0 ? "debit" : "credit"}` }
function whole(v) { return v === 0 ? "0" : (v > 0 ? "+" : "−") + Math.abs(v).toLocaleString("en-US", {maximumFractionDigits: Math.abs(v) < 10 ? 1 : 0}) }
function short(v) { return v.toLocaleString("en-US", {maximumFractionDigits: 2}) }
