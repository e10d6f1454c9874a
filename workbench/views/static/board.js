// The quote board's page: one line a symbol, painted cell by cell once a frame; sorting is this page's own business, order is the list's.

const SAY_EVERY = 3                // messages painted until the server is told so: it answers each word, and sends nothing meanwhile
const COLUMNS = [
  {key: "symbol", title: "Symbol", cls: "sym"},
  {key: "bid_size", title: "Bid sz", cls: "num size", text: (v) => size(v.bid_size)},
  {key: "bid", title: "Bid", cls: "num bid", text: (v, d) => fixed(v.bid, d), flash: true},
  {key: "last", title: "Last", cls: "num last", text: (v, d) => fixed(v.last, d), flash: true},
  {key: "ask", title: "Ask", cls: "num ask", text: (v, d) => fixed(v.ask, d), flash: true},
  {key: "ask_size", title: "Ask sz", cls: "num size", text: (v) => size(v.ask_size)},
  {key: "spread", title: "Spread", cls: "num", text: (v, d) => fixed(v.spread, d)},
  {key: "spread_pct", title: "Spr %", cls: "num", text: (v) => v.spread_pct == null ? "–" : v.spread_pct.toFixed(v.spread_pct < 0.1 ? 3 : 2)},
  {key: "change", title: "Chg", cls: "num tone wide", text: (v, d) => signed(v.change, d)},
  {key: "change_pct", title: "Chg %", cls: "num tone", text: (v) => signed(v.change_pct, 2)},
  {key: "volume", title: "Volume", cls: "num wide", text: (v) => short(v.volume)},
  {key: "position", title: "Position", cls: "num own", text: (v) => v.position == null ? "–" : signed(v.position, 0)},
  {key: "target", title: "Target", cls: "num own", text: (v, d) => fixed(v.target, d)},
]
const HINTS = {bid_size: "Size at the best bid, shares or contracts", ask_size: "Size at the best ask, shares or contracts", position: "Own position; empty until there are orders", target: "Own take-profit price; empty until there are orders", spread_pct: "Spread in percent of the middle", change: "Against the last regular close", change_pct: "Against the last regular close"}

export function render({model, view}) {
  const board = new Board(model)
  const ready = () => model.send_msg({do: "ready"})
  view.model.document?.on_event("client_reconnected", ready)
  model.on("lifecycle:remove", () => board.sight.disconnect())
  ready()
  return board.root
}

class Board {
  constructor(model) {
    this.model = model
    this.values = new Map()      // symbol -> {bid, ask, …}
    this.rows = new Map()        // symbol -> {row, cells, shown}
    this.dirty = new Set()       // symbols to paint
    this.sort = null             // {key, down}; null: the trader's own order
    this.painted = 0
    this.flashes = new Flashes()
    this.build()
    model.on("lines", () => this.relist())
    model.on("selected", () => this.mark())
    model.on("msg:custom", (event) => this.told(event?.data ?? event))
    this.sight = new IntersectionObserver((seen) => { if (this.root.isConnected) model.send_msg({do: "shown", is_shown: seen.at(-1).isIntersecting}) })
    this.sight.observe(this.root);
    (window.__matrix ??= {}).board = this
    this.relist()
  }

  build() {
    this.root = node("div", "qb")
    const form = node("form", "add", this.root)
    this.input = node("input", "", form)
    Object.assign(this.input, {placeholder: "Add symbol or contract, for example SPY or O:SPY261218C00600000", spellcheck: false, autocomplete: "off", ariaLabel: "Add symbol"})
    form.addEventListener("submit", (e) => {
      e.preventDefault()
      if (this.input.value.trim()) this.model.send_msg({do: "add", symbol: this.input.value.trim()})
      this.input.value = ""
    })
    this.note = node("div", "note", this.root)
    const scroll = node("div", "scroll", this.root)
    const head = node("div", "row head", scroll)
    this.heads = COLUMNS.map((c) => {
      const cell = node("div", c.cls, head, c.title)
      cell.title = HINTS[c.key] ?? ""
      cell.addEventListener("click", () => this.sortBy(c.key))
      return cell
    })
    this.empty = node("div", "empty", scroll, "No symbols yet. Type one above, for example SPY.")
    this.body = node("div", "body", scroll)
  }

  relist() {
    const lines = this.model.lines, wanted = new Set(lines.map((l) => l.symbol))
    for (const [symbol, {row}] of this.rows) if (!wanted.has(symbol)) { row.remove(); this.rows.delete(symbol); this.values.delete(symbol) }
    for (const line of lines) if (!this.rows.has(line.symbol)) this.rows.set(line.symbol, this.newRow(line))
    this.empty.style.display = lines.length ? "none" : ""
    this.order()
    this.mark()
  }

  newRow({symbol, label, title}) {
    const row = node("div", "row")
    row.draggable = true
    const cells = COLUMNS.map((c) => node("div", c.cls, row))
    cells[0].textContent = label
    cells[0].title = title === symbol ? symbol : `${title}  (${symbol})`
    const close = node("button", "x", row, "×")
    close.title = `Remove ${label}`
    close.addEventListener("click", (e) => { e.stopPropagation(); this.model.send_msg({do: "remove", symbol}) })
    row.addEventListener("click", () => this.model.send_msg({do: "select", symbol}))
    row.addEventListener("dragstart", (e) => { this.dragged = symbol; e.dataTransfer.effectAllowed = "move" })
    row.addEventListener("dragover", (e) => { e.preventDefault(); row.classList.add("over") })
    row.addEventListener("dragleave", () => row.classList.remove("over"))
    row.addEventListener("drop", (e) => {
      e.preventDefault()
      row.classList.remove("over")
      this.sort = null
      if (this.dragged && this.dragged !== symbol) this.model.send_msg({do: "move", symbol: this.dragged, position: this.model.lines.findIndex((l) => l.symbol === symbol)})
    })
    this.dirty.add(symbol)
    this.soon()
    return {row, cells, shown: []}
  }

  told(data) {
    if (data.error) return this.complain(data.error)
    for (const [symbol, fresh] of Object.entries(data.lines ?? {})) {
      const held = this.values.get(symbol) ?? {}
      this.values.set(symbol, Object.assign(held, fresh))
      this.dirty.add(symbol)
    }
    if (data.n) this.newest = data.n
    this.soon()
  }

  soon() {
    if (this.frame) return
    this.frame = requestAnimationFrame(() => {
      this.frame = 0
      for (const symbol of this.dirty) this.fill(symbol)
      this.dirty.clear()
      if (this.sort && this.sort.key !== "symbol") this.order()
      this.painted += 1
      if (this.newest >= (this.said ?? 0) + SAY_EVERY && this.root.isConnected) this.model.send_msg({do: "painted", n: this.said = this.newest})
      this.onPainted?.()
    })
  }

  complain(text) {
    this.note.textContent = text
    this.note.classList.add("on")
    clearTimeout(this.quiet)
    this.quiet = setTimeout(() => this.note.classList.remove("on"), 8000)
  }

  fill(symbol) {
    const entry = this.rows.get(symbol), v = this.values.get(symbol) ?? {}
    if (!entry) return
    const {cells, row, shown} = entry, d = v.decimals ?? 2
    row.classList.toggle("up", v.change > 0)
    row.classList.toggle("down", v.change < 0)
    row.classList.toggle("unknown", !!v.trouble)
    if (row.title !== (v.trouble ?? "")) row.title = v.trouble ?? ""
    COLUMNS.forEach((c, i) => {
      if (!c.text) return
      const text = c.text(v, d), value = v[c.key], before = entry[c.key]
      if (shown[i] === text) return
      const isFirst = shown[i] === undefined || shown[i] === "–"
      shown[i] = cells[i].textContent = text
      if (c.flash && !isFirst && value != null && before != null && value !== before) this.flashes.light(cells[i], value > before ? "up" : "down")
      entry[c.key] = value
    })
  }

  // -- sorting ---------------------------------------------------------------------------------------------------------------

  sortBy(key) {
    const s = this.sort
    this.sort = s?.key !== key ? {key, down: key !== "symbol"} : s.down === (key !== "symbol") ? {key, down: !s.down} : null
    this.heads.forEach((h, i) => { h.dataset.sort = this.sort?.key === COLUMNS[i].key ? (this.sort.down ? "▾" : "▴") : "" })
    this.order()
  }

  // Not under the pointer: a line that is about to be clicked stays where it is.
  order() {
    if (this.sort && this.body.matches(":hover") && this.body.childElementCount === this.model.lines.length) return
    const symbols = this.model.lines.map((l) => l.symbol)
    if (!this.sort) for (const h of this.heads) h.dataset.sort = ""
    if (this.sort) {
      const {key, down} = this.sort, of = (s) => key === "symbol" ? s : this.values.get(s)?.[key] ?? null
      symbols.sort((a, b) => {
        const x = of(a), y = of(b)
        if (x === null || y === null) return (x === null) - (y === null)
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1)
      })
    }
    const now = this.body.children, want = symbols.map((s) => this.rows.get(s).row)
    if (want.some((r, i) => now[i] !== r) || now.length !== want.length) this.body.replaceChildren(...want)
  }

  mark() {
    for (const [symbol, {row}] of this.rows) {
      const on = symbol === this.model.selected
      if (on && !row.classList.contains("on")) row.scrollIntoView({block: "nearest"})
      row.classList.toggle("on", on)
    }
  }

  // For tests: what the page shows.
  snapshot() {
    return {
      lines: [...this.body.children].map((row) => Object.fromEntries([...row.children].slice(0, COLUMNS.length).map((cell, i) => [COLUMNS[i].key, cell.textContent]))),
      painted: this.painted, note: this.note.classList.contains("on") ? this.note.textContent : "",
    }
  }
}

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
function fixed(v, d) { return v == null ? "–" : v.toFixed(d) }
function size(v) { return v == null ? "–" : v >= 1e5 ? short(v) : Math.round(v).toLocaleString("en-US") }
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
