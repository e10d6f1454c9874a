// The price ladder's page: rows on the steps of price around a centre that only a person moves. Told bid, ask, last and volumes,
// it paints the cells that changed, once a frame, and says so; centre, scrolling and pointer are its own business.

const PARTS = 10000                // of a dollar: every price here is a whole number of them
const ROW = 22
const SAY_EVERY = 3                // messages painted until the server is told so: it answers each word, and sends nothing meanwhile
const OLD = new Set(["STALE", "DEGRADED", "REFUSED", "STARTING"])
const TAGS = {order: "", average: "avg", take_profit: "TP", stop: "SL", break_even: "BE"}
const NAMES = {order: "Working order", average: "Average price", take_profit: "Take-profit", stop: "Stop", break_even: "Break-even"}

export function render({model, view}) {
  const ladder = new Ladder(model)
  const ready = () => model.send_msg({do: "ready"})
  view.model.document?.on_event("client_reconnected", ready)
  model.on("lifecycle:remove", () => ladder.remove())
  ready()
  return ladder.root
}

class Ladder {
  constructor(model) {
    this.model = model
    this.m = {}                    // market: bid, ask, last, …
    this.volumes = new Map()       // parts -> [buyer, seller, unknown]
    this.top = null                // parts of the first row; null until there is a price to begin with
    this.rows = []                 // {el, cells, parts, shown}
    this.hover = null              // index of the row under the pointer
    this.follow = false
    this.painted = 0
    this.flashes = new Flashes()
    this.build()
    model.on("msg:custom", (event) => this.told(event?.data ?? event))
    for (const name of ["marks", "label"]) model.on(name, () => this.soon())
    this.onKey = (e) => this.key(e)
    window.addEventListener("keydown", this.onKey)
    this.sizes = new ResizeObserver(() => this.fit())
    this.sizes.observe(this.body)
    this.sight = new IntersectionObserver((seen) => { if (this.root.isConnected) model.send_msg({do: "shown", is_shown: seen.at(-1).isIntersecting}) })
    this.sight.observe(this.root);
    (window.__matrix ??= {}).ladder = this
    this.soon()
  }

  remove() {
    window.removeEventListener("keydown", this.onKey)
    this.sizes.disconnect()
    this.sight.disconnect()
  }

  build() {
    this.root = node("div", "ladder")
    const head = node("div", "head", this.root)
    this.title = node("b", "title", head)
    this.lastText = node("span", "lastText", head)
    node("i", "fill", head)
    this.followButton = button(head, "Follow", "Keep the market in view by itself, never while the pointer is on the rows", () => { this.follow = !this.follow; this.soon() })
    button(head, "Centre", `Put the market in the middle ( ${this.model.centre_key.toUpperCase()} )`, () => this.centre())
    this.warn = node("div", "warn", this.root)
    this.facts = node("div", "facts", this.root)
    this.fact = Object.fromEntries(["Spread", "Mid", "High", "Low", "VWAP", "Volume", "Change", "Quote", "Break-even"].map((name) => {
      const box = node("div", "fact", this.facts)
      node("span", "name", box, name)
      return [name, node("span", "value", box)]
    }))
    const cols = node("div", "row cols", this.root)
    for (const [cls, text, title] of [["vol", "Volume", ""], ["bid", "Bid", "Size at the best bid"], ["price", "Price", ""], ["ask", "Ask", "Size at the best ask"], ["own", "Own", "Own orders and prices"]]) {
      const cell = node("div", cls, cols, text)
      cell.title = title
      if (cls === "vol") this.volHead = cell
    }
    this.body = node("div", "body", this.root)
    this.list = node("div", "list", this.body)
    this.up = node("button", "edge up", this.body)
    this.down = node("button", "edge down", this.body)
    for (const b of [this.up, this.down]) b.addEventListener("click", () => { this.centre(); b.blur() })
    this.empty = node("div", "empty", this.body)
    this.body.addEventListener("wheel", (e) => { e.preventDefault(); this.scroll(-Math.sign(e.deltaY) * (e.shiftKey ? 10 : 3)) }, {passive: false})
    this.body.addEventListener("pointermove", (e) => this.point(Math.floor((e.clientY - this.body.getBoundingClientRect().top) / ROW)))
    this.body.addEventListener("pointerleave", () => this.point(null))
    const foot = node("div", "foot", this.root)
    const split = node("div", "split", foot)
    this.bars = ["s", "u", "b"].map((side) => node("i", side, split))
    this.totals = node("div", "totals", foot)
    this.notes = node("div", "notes", foot)
  }

  // -- what comes in -------------------------------------------------------------------------------------------------------

  told(data) {
    if (data.new) {
      this.m = {}
      this.volumes.clear()
      if (this.of !== this.model.symbol) { this.top = null; this.of = this.model.symbol }
    }
    const bands = String(this.m.bands)
    Object.assign(this.m, data.market)
    for (const [parts, ...split] of data.volumes ?? []) this.volumes.set(parts, split)
    if (this.top != null && String(this.m.bands) !== bands) this.regrid()
    if (data.n) this.newest = data.n
    this.soon()
  }

  soon() {
    if (this.frame) return
    this.frame = requestAnimationFrame(() => {
      this.frame = 0
      this.paint()
      this.painted += 1
      if (this.newest >= (this.said ?? 0) + SAY_EVERY && this.root.isConnected) this.model.send_msg({do: "painted", n: this.said = this.newest})
      this.onPainted?.()
    })
  }

  // -- rows ----------------------------------------------------------------------------------------------------------------

  tick(parts) {
    let tick = 100
    for (const [from, size] of this.m.bands ?? []) if (parts >= from) tick = size
    return tick
  }
  onGrid(parts) {
    let from = 0, tick = 100
    for (const [start, size] of this.m.bands ?? []) if (parts >= start) [from, tick] = [start, size]
    return parts - (parts - from) % tick
  }
  above(parts, n = 1) { for (; n > 0; n -= 1) parts += this.tick(parts); return parts }
  below(parts, n = 1) { for (; n > 0 && parts > 0; n -= 1) parts -= this.tick(parts - 1); return Math.max(0, parts) }
  row(price) { return price == null ? null : this.onGrid(Math.round(price * PARTS)) }
  askRow(price) {                // a price between two steps: the ask stands above
    if (price == null) return null
    const parts = Math.round(price * PARTS), under = this.onGrid(parts)
    return under === parts ? parts : this.above(under)
  }

  get market() { const m = this.m; return m.mid ?? m.last ?? m.bid ?? m.ask ?? m.close ?? null }

  centre() {
    const at = this.row(this.market)
    if (at == null) return
    this.top = this.above(at, Math.floor((this.rows.length - 1) / 2))
    this.soon()
  }
  scroll(by) {
    if (this.top == null) return
    this.top = by > 0 ? this.above(this.top, by) : this.below(this.top, -by)
    this.soon()
  }
  // Finer steps than were known: the row under the pointer, else the middle one, stays where it is.
  regrid() {
    const i = this.hover ?? Math.floor(this.rows.length / 2), parts = this.rows[i]?.parts
    this.top = parts == null ? this.onGrid(this.top) : this.above(this.onGrid(parts), i)
  }

  fit() {
    const n = Math.max(0, Math.floor(this.body.clientHeight / ROW)), was = this.rows.length
    while (this.rows.length < n) this.rows.push(this.newRow())
    while (this.rows.length > n) this.rows.pop().el.remove()
    if (this.top != null && was && n !== was && this.hover == null) this.top = n > was ? this.above(this.top, (n - was) >> 1) : this.below(this.top, (was - n) >> 1)
    this.soon()
  }

  newRow() {
    const el = node("div", "row", this.list)
    const vol = node("div", "vol", el), bar = node("div", "bar", vol)
    const bars = ["s", "u", "b"].map((side) => node("i", side, bar))
    const count = node("span", "", vol)
    const bid = node("div", "bid", el), price = node("div", "price", el), ask = node("div", "ask", el), own = node("div", "own", el)
    return {el, vol, bar, bars, count, bid, tags: node("span", "tags", price), side: node("span", "side", price), price: node("span", "", price), ask, own, shown: {}}
  }

  point(i) {
    const inside = i != null && i >= 0 && i < this.rows.length ? i : null
    if (inside === this.hover) return
    this.rows[this.hover]?.el.classList.remove("hover")
    this.hover = inside
    this.rows[inside]?.el.classList.add("hover")
  }

  key(e) {
    const at = e.composedPath()[0]
    if (e.ctrlKey || e.metaKey || e.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(at.tagName) || !this.root.getClientRects().length) return
    if (e.key.toLowerCase() === this.model.centre_key) { this.centre(); e.preventDefault() }
  }

  // -- painting ------------------------------------------------------------------------------------------------------------

  paint() {
    const m = this.m, n = this.rows.length
    if (this.top == null && n) this.centre()
    this.followMarket(n)
    this.paintHead()
    const bid = this.row(m.bid), ask = this.askRow(m.ask), last = this.row(m.last ?? m.close)
    const tags = this.tagged(), marks = this.marked()
    const keys = []
    for (let parts = this.top, i = 0; i < n && parts != null; i += 1, parts = this.below(parts)) keys.push(parts > 0 ? parts : null)
    let most = 0
    for (const parts of keys) { const v = this.volumes.get(parts); if (v) most = Math.max(most, v[0] + v[1] + v[2]) }
    for (let i = 0; i < n; i += 1) {
      const parts = keys[i] ?? null, row = this.rows[i]
      row.parts = parts
      this.paintRow(row, parts, {bid, ask, last, most, tags: tags.get(parts), marks: marks.get(parts)})
    }
    this.paintEdges(keys, bid, ask, last, marks)
    const why = m.trouble || (m.mode === "CLOSED" ? "The market is closed, and nothing is known of this symbol." : `Waiting for the first quote or print of ${this.model.label} …`)
    put(this.empty, this.top == null || m.trouble ? why : "")
    this.empty.classList.toggle("told", this.top == null || !!m.trouble)
    this.empty.classList.toggle("bad", !!m.trouble)
  }

  followMarket(n) {
    this.followButton.classList.toggle("on", this.follow)
    const at = this.row(this.market)
    if (!this.follow || this.hover != null || this.top == null || at == null) return
    if (at > this.below(this.top, Math.floor(n * 0.2)) || at < this.below(this.top, Math.floor(n * 0.8))) this.centre()
  }

  paintRow(row, parts, at) {
    const {m} = this, s = row.shown, is = parts != null
    const bidSize = is && parts === at.bid ? size(m.bid_size) : "", askSize = is && parts === at.ask ? size(m.ask_size) : ""
    const fresh = s.parts !== parts
    set(row, "bidText", bidSize, () => { row.bid.textContent = bidSize; if (!fresh && bidSize) this.flashes.light(row.bid, "up") })
    set(row, "askText", askSize, () => { row.ask.textContent = askSize; if (!fresh && askSize) this.flashes.light(row.ask, "down") })
    set(row, "parts", parts, () => { row.price.textContent = is ? this.price(parts) : "" })
    const side = is && parts === at.last ? m.last == null ? "untold" : ["unknown", "buyer", "seller"][m.last_side ?? 0] : ""
    const between = is && at.bid != null && at.ask != null && parts > at.bid && parts < at.ask
    const cls = `row${is && parts === at.bid ? " best-bid" : ""}${is && parts === at.ask ? " best-ask" : ""}${between ? " inside" : ""}${is && at.ask != null && parts > at.ask ? " over" : ""}${is && at.bid != null && parts < at.bid ? " under" : ""}${side ? ` last ${side}` : ""}${is && parts % this.major(parts) === 0 ? " major" : ""}${at.marks ? " marked" : ""}${this.rows[this.hover] === row ? " hover" : ""}`
    set(row, "cls", cls, () => { row.el.className = cls })
    set(row, "sideText", side, () => { row.side.textContent = {buyer: "▲", seller: "▼", unknown: "●"}[side] ?? "" })
    const tags = at.tags ?? ""
    set(row, "tagText", tags, () => { row.tags.textContent = tags; row.tags.title = tags.split(" ").map((t) => ({H: "session high", L: "session low", V: "VWAP"})[t] ?? "").join(", ") })
    const v = is ? this.volumes.get(parts) : null, all = v ? v[0] + v[1] + v[2] : 0
    set(row, "volText", all, () => {
      row.count.textContent = all ? short(all) : ""
      row.vol.title = all ? `${this.price(parts)}: ${count(all)} traded\nbuyers ${count(v[0])}, sellers ${count(v[1])}, unknown ${count(v[2])}` : ""
    })
    const widths = v && at.most ? [v[1], v[2], v[0]].map((x) => (100 * x / at.most).toFixed(1)) : ["0", "0", "0"]
    set(row, "widths", String(widths), () => widths.forEach((w, k) => { row.bars[k].style.width = `${w}%` }))
    const own = at.marks ?? ""
    set(row, "ownText", JSON.stringify(own), () => row.own.replaceChildren(...(own || []).map((mark) => this.tag(mark))))
  }

  tag(mark) {
    const el = node("span", `tag ${mark.kind} ${mark.side}`)
    el.textContent = this.markText(mark)
    el.title = [NAMES[mark.kind], mark.side, mark.qty == null ? "" : count(mark.qty), `at ${exact(mark.price)}`, mark.note].filter(Boolean).join(" ")
    return el
  }
  markText(mark) {
    const side = mark.kind === "order" ? {buy: "B", sell: "S"}[mark.side] ?? "" : TAGS[mark.kind]
    return [side, mark.qty == null ? "" : short(mark.qty)].filter(Boolean).join(" ")
  }
  marked() {
    const found = new Map()
    for (const mark of this.model.marks) {
      const parts = this.row(mark.price)
      found.set(parts, [...found.get(parts) ?? [], mark])
    }
    return found
  }
  tagged() {
    const found = new Map()
    for (const [letter, price] of [["H", this.m.high], ["L", this.m.low], ["V", this.m.vwap]]) {
      const parts = this.row(price)
      if (parts != null) found.set(parts, [found.get(parts), letter].filter(Boolean).join(" "))
    }
    return found
  }

  paintEdges(keys, bid, ask, last, marks) {
    const first = keys[0], end = keys.findLast((k) => k != null), at = this.row(this.market)
    const say = (el, isOut, isMarked, arrow) => {
      const own = [...marks].filter(([parts]) => isMarked(parts)).flatMap(([, list]) => list)
      const text = [isOut ? `${arrow} market ${exact(this.market)}` : "", own.length ? `${arrow} ${own.slice(0, 3).map((k) => `${this.markText(k)} ${exact(k.price)}`).join(", ")}` : ""].filter(Boolean).join("   ")
      put(el, text)
      el.classList.toggle("told", !!text)
      el.classList.toggle("market", isOut)
      el.title = "Put the market in the middle ( C )"
    }
    const told = first != null && end != null
    say(this.up, told && at != null && at > first, (parts) => told && parts > first, "▲")
    say(this.down, told && at != null && at < end, (parts) => told && parts < end, "▼")
  }

  paintHead() {
    const m = this.m, d = m.decimals ?? 2, last = m.last ?? m.close
    put(this.title, this.model.label)
    put(this.lastText, last == null ? "–" : `${exact(last, d)}${m.last_size == null ? "" : ` × ${count(m.last_size)}`}`)
    put(this.fact.Change, m.change == null ? "–" : `${signed(m.change, d)}  ${signed(m.change_pct, 2)} %`)
    this.fact.Change.className = `value ${m.change > 0 ? "buyer" : m.change < 0 ? "seller" : ""}`
    const bad = OLD.has(m.mode)
    put(this.warn, bad ? `${m.mode}${m.reason ? `: ${m.reason}` : ""}` : "")
    this.warn.classList.toggle("on", bad)
    this.root.classList.toggle("old", bad)
    const pct = m.spread == null || !m.mid ? "" : 100 * m.spread / m.mid
    put(this.fact.Spread, m.spread == null ? "–" : `${exact(m.spread, 2)}  ${pct < 0.1 ? `${(100 * pct).toFixed(1)} bp` : `${pct.toFixed(pct < 10 ? 2 : 0)} %`}`)
    put(this.fact.Mid, m.mid == null ? "–" : exact(m.mid, d))
    put(this.fact.High, m.high == null ? "–" : exact(m.high, d))
    put(this.fact.Low, m.low == null ? "–" : exact(m.low, d))
    put(this.fact.VWAP, m.vwap == null ? "–" : m.vwap.toFixed(d))
    put(this.fact.Volume, m.volume == null ? "–" : short(m.volume))
    put(this.fact.Quote, m.quoted == null || m.now == null ? "–" : age((m.now - m.quoted) / 1000))
    const be = m.break_even, box = this.fact["Break-even"]
    put(box, be ? `${be.underlying} ${be.price.toFixed(2)}${be.away_pct == null ? "" : `  ${signed(be.away_pct, 2)} %`}` : "–")
    box.parentNode.title = be ? `${be.underlying} at expiry, ${be.is_own ? "at the average price paid" : "bought at the ask"} ${exact(be.paid)}${be.spot == null ? `; ${be.underlying} is not followed` : `; now ${exact(be.spot)}`}` : ""
    box.parentNode.classList.toggle("off", !this.model.symbol.startsWith("O:"))
    const [b, s, u] = m.totals ?? [0, 0, 0], all = b + s + u
    ;[s, u, b].forEach((x, k) => { this.bars[k].style.width = all ? `${(100 * x / all).toFixed(1)}%` : "0" })
    put(this.totals, all ? `▼ ${short(s)} ${(100 * s / all).toFixed(0)} %   ● ${short(u)}   ▲ ${short(b)} ${(100 * b / all).toFixed(0)} %` : "nothing traded yet")
    put(this.volHead, m.since ? `Since ${m.since}` : "Volume")
    this.volHead.title = `Volume at price since the ladder was opened${m.since ? ` at ${m.since} New York` : ""}.\n${this.model.rule}.${m.left_out ? `\n${count(m.left_out)} prints left out: average price, out of sequence, late.` : ""}`
    this.totals.title = this.volHead.title
    const notes = (m.notes ?? []).join(" · ")
    put(this.notes, notes ? `▲ at or above the ask, ▼ at or below the bid, ● else · ${notes}` : "")
    this.notes.title = this.notes.textContent
  }

  price(parts) { return (parts / PARTS).toFixed(parts % 100 ? (parts % 10 ? 4 : 3) : 2) }
  major(parts) { return 10 * this.tick(parts) }

  // For tests: what the page shows.
  snapshot() {
    return {
      rows: this.rows.map((r) => ({price: r.parts == null ? null : r.parts / PARTS, bid: r.bid.textContent, ask: r.ask.textContent, volume: r.count.textContent, cls: r.el.className, own: r.own.textContent, tags: r.tags.textContent})),
      market: {...this.m}, volumes: [...this.volumes], painted: this.painted, hover: this.hover, up: this.up.textContent, down: this.down.textContent, notes: this.notes.textContent, warn: this.warn.textContent,
    }
  }
}

function set(row, name, value, write) { if (row.shown[name] !== value) { row.shown[name] = value; write() } }
function put(el, text) { if (el.textContent !== text) el.textContent = text }
// A changed cell is lit for 150 ms, on and off: an animation of each would be painted anew in every frame.
class Flashes {
  constructor() { this.lit = [] }   // [when to end, cell], by time
  light(el, tone) {
    el.dataset.flash = tone
    this.lit.push([el.flashEnd = performance.now() + 150, el])
    this.timer ??= setTimeout(() => this.sweep(), 150)
  }
  sweep() {
    const now = performance.now()
    while (this.lit.length && this.lit[0][0] <= now + 4) {
      const [end, el] = this.lit.shift()
      if (el.flashEnd === end) delete el.dataset.flash
    }
    this.timer = this.lit.length ? setTimeout(() => this.sweep(), this.lit[0][0] - now) : undefined
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
  const b = node("button", "", parent, text)
  b.type = "button"
  b.title = title
  b.addEventListener("click", () => { action(); b.blur() })
  return b
}
function exact(v, d = 2) {
  if (v == null) return "–"
  const text = v.toFixed(4).replace(/0{1,2}$/, "")
  return text.split(".")[1].length < d ? v.toFixed(d) : text
}
function size(v) { return v == null ? "–" : v >= 1e5 ? short(v) : count(v) }
function count(v) { return v == null ? "–" : Math.round(v).toLocaleString("en-US") }
function signed(v, d) {
  if (v == null) return "–"
  const text = Math.abs(v).toFixed(d)
  return Number(text) === 0 ? text : (v > 0 ? "+" : "−") + text
}
function short(v) {
  if (v == null) return "–"
  for (const [unit, name] of [[1e9, "B"], [1e6, "M"], [1e3, "K"]]) if (v >= unit) return (v / unit).toFixed(v >= 100 * unit ? 0 : 1) + name
  return String(Math.round(v))
}
function age(s) { return s < 0 ? "now" : s < 10 ? `${s.toFixed(1)} s` : s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d` }
