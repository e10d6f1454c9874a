// The chain's page: holds every cell's number, and draws the lines that are seen. Lines are made once and moved while scrolling; an
// update draws the cells that changed. The server says what a number is, this file how it looks.
//
// A line's boxes (shading, marks, what the pointer meets) are elements. Its numbers are drawn on one canvas above them: to lay out and
// paint two thousand texts ten times a second takes a page most of a core, to draw them a tenth of that. The same texts stand unseen in
// the boxes, for who has the page read to him, and follow a few lines at a time.

const ROW = 22, SPARE = 6, FLASH_MS = 150, HERE_MS = 3000, TELL_MS = 100, TOLD_LINES = 3
const LISTED = 1, ITM = 2, OLD = 4, UNPRICED = 8, ILLIQUID = 16, ADJUSTED = 32
const PRICES = ["bid", "ask", "mid", "last"], COUNTS = ["volume", "open_interest", "bid_size", "ask_size"]
const QUOTED = [...PRICES, ...COUNTS, "spread_pct"]      // known without a volatility
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
    this.before = new Map()         // price -> its values before they changed
    this.lit = new Map()            // price -> until when each place flashes [ms], negative: down
    this.behind = new Set()         // lines whose unseen texts are not the drawn ones
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
    this.coloured = new MutationObserver(() => { this.figures.forget(); this.drawAnew() })
    this.coloured.observe(document.documentElement, {attributeFilter: ["style"]})
    this.here = setInterval(() => this.model.send_msg({do: "here", value: this.n}), HERE_MS)
    this.columns()
    this.drawMenu()
    this.drawPlace()
    this.drawButtons()
    this.model.send_msg({do: "ready"})
  }

  remove() {
    clearInterval(this.here)
    clearTimeout(this.telling)
    this.coloured.disconnect()
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
    this.figures = new Figures(this.sheet)
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
    this.measure()
    this.drawAnew()
  }
  // Where the columns' cells stand in the sheet.
  measure() {
    const whole = this.titles.getBoundingClientRect(), cells = [...this.titles.children].map((el) => { const {left, right} = el.getBoundingClientRect(); return [left - whole.left, right - whole.left] })
    const n = this.sides[0].length
    this.spans = this.sides.map((side, right) => new Map(side.map((c, j) => [c.name, cells[right ? n + 1 + j : j]])))
    this.strikeAt = cells[n][0]
    this.figures.fit(whole.width, this.pool.length)
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
    return {el, halves, cells, strike: el.strike, worn: [], i: -1}
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
      if (!isNew && PRICES.includes(field) && !this.before.has(field)) this.before.set(field, held.slice())
      for (let j = 0; j < places.length; j++) held[places[j]] = values[j] ?? NaN
      if (!isNew) this.dirty.set(field, (this.dirty.get(field) ?? []).concat(places))
    }
    this.request()
  }
  begin(strikes) {
    this.cells.clear()
    this.dirty.clear()
    this.before.clear()
    this.lit.clear()
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
  drawAnew() { this.isAnew = true; this.request() }
  draw() {
    if (this.headChanged) { this.headChanged = false; this.drawHead() }
    if (this.mustCentre && this.head.spot != null && this.scroller.clientHeight) { this.mustCentre = false; this.centre() }
    this.now = performance.now()
    if (this.figures.ratio !== window.devicePixelRatio) { this.measure(); this.isAnew = true }     // moved to another screen
    this.placeLines()
    const changed = this.takeChanges()
    if (this.isAnew) this.drawLines()
    else for (const [field, at] of changed) this.drawCell(field, at)
    this.isAnew = false
    this.figures.uncover(this.strikeShown, this.strikeWidth)
    if (this.over != null) this.drawFoot()
    if (this.behind.size) this.telling ??= setTimeout(() => this.tell(), TELL_MS)
    if (this.n !== this.drawn) this.send("drawn", this.drawn = this.n)
  }

  placeLines() {
    const {scrollTop: top, scrollLeft: left, clientWidth, clientHeight} = this.scroller, size = this.pool.length
    const first = Math.max(0, Math.min(Math.floor(top / ROW) - SPARE, this.strikes.length - size))
    for (let j = 0; j < size; j++) {
      const line = this.pool[j], i = first + ((j - first) % size + size) % size        // each line keeps its slot while scrolling
      if (line.i !== i) this.fill(line, i)
    }
    const strike = Math.max(left, Math.min(this.strikeAt, left + clientWidth - this.strikeWidth))  // it sticks to the edges
    if (first !== this.first || strike !== this.strikeShown) this.isAnew = true
    this.first = first
    this.strikeShown = strike
    this.figures.moveTo(first)
    const k = this.money.k ?? 0
    this.atm.classList.toggle("away", this.head.spot != null && (k * ROW < top || k * ROW > top + clientHeight - ROW))
  }
  slot(i) { const line = this.pool[i % this.pool.length]; return line?.i === i ? line : null }

  fill(line, i) {
    line.i = i
    line.el.style.transform = `translateY(${i * ROW}px)`
    line.strike.textContent = this.strikes[i]?.toFixed(this.digits) ?? ""
    this.write(line)
    for (const side of [0, 1]) this.dress(line, side)
  }
  write(line) {
    this.behind.delete(line)
    line.cells.forEach((cells, side) => {
      for (const [name, cell] of cells) {
        const text = this.textAt(name, 2 * line.i + side)
        if (cell.firstChild) { if (cell.firstChild.data !== text) cell.firstChild.data = text } else cell.textContent = text
      }
    })
  }
  tell() {
    this.telling = null
    for (const line of [...this.behind].slice(0, TOLD_LINES)) this.write(line)
    if (this.behind.size) this.telling = setTimeout(() => this.tell(), TELL_MS)
  }

  textAt(name, at) { return this.text(name, this.cells.get(name)?.[at], this.cells.get("flags")?.[at]) }
  text(name, v, flags) {
    if (!(flags & LISTED)) return ""
    if (v == null || Number.isNaN(v)) return "–"
    if (COUNTS.includes(name)) return short(v)
    const text = Math.abs(v).toFixed(this.byName.get(name).decimals)
    return v < 0 && Number(text) !== 0 ? `−${text}` : text
  }
  tone(name, flags) {
    if (flags & UNPRICED && !QUOTED.includes(name)) return "faint"
    if (flags & OLD || this.head.is_old) return "stale"
    return COUNTS.includes(name) ? "muted" : "text"
  }
  dress(line, side) {
    const at = 2 * line.i + side, flags = this.cells.get("flags")?.[at] || 0
    const strike = this.strikes[line.i], right = "CP"[side], s = this.model.selected
    const isOn = s.strike === strike && s.right === right && s.expiry === this.model.place.expiry && s.root === this.model.place.root
    const leg = (this.head.legs?.[0] ?? []).find(([root, expiry, k, r]) => k === strike && r === right && expiry === this.model.place.expiry && root === this.model.place.root)
    const cls = `half ${side ? "puts" : "calls"}${flags & ITM ? " itm" : ""}${flags & OLD ? " old" : ""}${flags & UNPRICED ? " unpriced" : ""}${flags & ILLIQUID ? " thin" : ""}${flags & ADJUSTED ? " adjusted" : ""}${isOn ? " on" : ""}${leg ? (leg[4] > 0 ? " bought" : " sold") : ""}`
    if (line.worn[side] !== cls) line.halves[side].className = line.worn[side] = cls
  }

  // Return the cells that changed: [field, place].
  takeChanges() {
    const changed = [], lit = []
    for (const [field, places] of this.dirty) {
      for (const at of places) {
        const line = this.slot(at >> 1), side = at & 1
        if (!line) continue
        if (field === "flags") { this.dress(line, side); for (const name of line.cells[side].keys()) changed.push([name, at]) }
        else if (!line.cells[side].has(field)) continue
        else { changed.push([field, at]); if (this.light(field, at)) lit.push([field, at]) }
        this.behind.add(line)
      }
    }
    this.dirty.clear()
    this.before.clear()
    if (lit.length) setTimeout(() => this.fade(lit), FLASH_MS)
    return changed
  }
  light(field, at) {
    const before = this.before.get(field)
    if (!before || Number.isNaN(before[at])) return false
    let until = this.lit.get(field)
    if (!until) this.lit.set(field, until = new Float64Array(2 * this.strikes.length))
    until[at] = (this.now + FLASH_MS) * (this.cells.get(field)[at] > before[at] ? 1 : -1)
    return true
  }
  fade(lit) {
    this.now = performance.now()
    const over = lit.filter(([field, at]) => Math.abs(this.lit.get(field)?.[at] ?? Infinity) <= this.now + 4)   // others were lit anew
    for (const [field, at] of over) { this.lit.get(field)[at] = 0; this.drawCell(field, at) }
    if (over.length) this.figures.uncover(this.strikeShown, this.strikeWidth)
  }

  drawLines() {
    this.figures.wipe()
    for (const {i, cells} of this.pool) for (const side of [0, 1]) for (const name of cells[side].keys()) this.drawCell(name, 2 * i + side)
  }
  drawCell(name, at) {
    const row = (at >> 1) - this.first, span = this.spans[at & 1].get(name)
    if (!span || row < 0 || row >= this.pool.length) return
    const flags = this.cells.get("flags")?.[at], until = this.lit.get(name)?.[at] ?? 0
    const flash = Math.abs(until) > this.now ? (until > 0 ? "up" : "down") : ""
    this.figures.draw(row, span, this.textAt(name, at), this.tone(name, flags), flags & OLD && (name === "bid" || name === "ask"), flash)
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
    if (this.wasOld !== (this.wasOld = !!h.is_old)) this.drawAnew()
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

// The numbers of the lines that are there, on a canvas that covers them.
class Figures {
  constructor(sheet) {
    this.el = node("canvas", "figures", sheet)
    this.ctx = this.el.getContext("2d")
    this.tones = new Map()
  }
  forget() { this.tones.clear() }
  tone(name) {
    if (!this.tones.has(name)) this.tones.set(name, getComputedStyle(this.el).getPropertyValue(`--wb-${name}`).trim() || "#888")
    return this.tones.get(name)
  }

  fit(width, rows) {
    const ratio = this.ratio = window.devicePixelRatio, w = Math.ceil(width), h = rows * ROW
    Object.assign(this.el, {width: w * ratio, height: h * ratio})
    Object.assign(this.el.style, {width: `${w}px`, height: `${h}px`})
    this.ctx.setTransform(ratio, 0, 0, ratio, 0, 0)
    const told = getComputedStyle(this.el), families = [told.fontFamily, 'Roboto, Arial, "Liberation Sans", sans-serif']
    const isTabular = (family) => { this.ctx.font = `${told.fontSize} ${family}`; return this.ctx.measureText("1").width === this.ctx.measureText("0").width }
    const family = families.find(isTabular) ?? families[0]
    this.fonts = ["", "italic "].map((slant) => `${slant}${told.fontSize} ${family}`)
    this.ctx.font = this.font = this.fonts[0]
    this.ctx.textAlign = "right"
    const {fontBoundingBoxAscent: up, fontBoundingBoxDescent: down, width: digit} = this.ctx.measureText("0")
    this.base = Math.round((ROW + up - down) / 2)
    this.digit = digit
  }
  moveTo(row) { if (row !== this.row) this.el.style.transform = `translateY(${(this.row = row) * ROW}px)` }
  wipe() { this.ctx.clearRect(0, 0, this.el.width, this.el.height) }
  uncover(left, width) { this.ctx.clearRect(left, 0, width, this.el.height) }

  draw(row, [from, to], text, tone, isSlanted, flash) {
    const {ctx} = this, snap = (x) => Math.round(x * this.ratio) / this.ratio
    const left = snap(from), width = snap(to) - left, top = row * ROW
    ctx.clearRect(left, top, width, ROW)
    if (flash) {
      ctx.globalAlpha = 0.38
      ctx.fillStyle = this.tone(flash)
      ctx.fillRect(left, top, width, ROW - 1)
      ctx.globalAlpha = 1
    }
    if (!text) return
    const font = this.fonts[isSlanted ? 1 : 0]
    if (font !== this.font) ctx.font = this.font = font
    ctx.fillStyle = this.tone(tone)
    if (text.length * this.digit > width) ctx.fillText(text, to - 4, top + this.base, width - 5)
    else ctx.fillText(text, to - 4, top + this.base)
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
