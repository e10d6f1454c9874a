// The watchlist's page: rows by symbol, updated cell by cell; sorting is this page's own business, order is the list's.

const COLUMNS = [
  {key: "symbol", title: "Symbol", cls: "sym"},
  {key: "spark", title: "", cls: "spark"},
  {key: "last", title: "Last", cls: "num last"},
  {key: "change", title: "Chg", cls: "num wide"},
  {key: "change_pct", title: "Chg %", cls: "num"},
  {key: "gap_pct", title: "Gap %", cls: "num"},
  {key: "volume", title: "Vol", cls: "num mid"},
  {key: "relative_volume", title: "RVol", cls: "num"},
]

export function render({model}) {
  const list = new List(model)
  const look = () => list.redraw()
  window.addEventListener("workbench:look", look)
  model.on("lifecycle:remove", () => window.removeEventListener("workbench:look", look))
  model.send_msg({do: "ready"})
  return list.root
}

class List {
  constructor(model) {
    this.model = model
    this.values = new Map()      // symbol -> {last, change, …}
    this.rows = new Map()        // symbol -> {row, cells}
    this.sort = null             // {key, down}; null: the trader's own order
    this.build()
    model.on("lines", () => this.relist())
    model.on("selected", () => this.mark())
    model.on("msg:custom", (event) => this.told(event?.data ?? event))
    this.relist()
  }

  build() {
    this.root = node("div", "wl")
    const form = node("form", "add", this.root)
    this.input = node("input", "", form)
    Object.assign(this.input, {placeholder: "Add symbol", spellcheck: false, autocomplete: "off", ariaLabel: "Add symbol"})
    form.addEventListener("submit", (e) => {
      e.preventDefault()
      if (this.input.value.trim()) this.model.send_msg({do: "add", symbol: this.input.value.trim()})
      this.input.value = ""
    })
    this.note = node("div", "note", this.root)
    const head = node("div", "row head", this.root)
    this.heads = COLUMNS.map((c) => {
      const cell = node("div", c.cls, head, c.title)
      if (c.title) cell.addEventListener("click", () => this.sortBy(c.key))
      return cell
    })
    this.empty = node("div", "empty", this.root, "No symbols yet. Type one above, for example SPY.")
    this.body = node("div", "body", this.root)
  }

  relist() {
    const lines = this.model.lines
    const wanted = new Set(lines.map((l) => l.symbol))
    for (const [symbol, {row}] of this.rows) if (!wanted.has(symbol)) { row.remove(); this.rows.delete(symbol) }
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
    row.classList.toggle("long", label.length > 6)
    cells[0].title = title === symbol ? symbol : `${title}  (${symbol})`
    const canvas = node("canvas", "", cells[1])
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
    const entry = {row, cells, canvas}
    this.rows.set(symbol, entry)
    this.fill(symbol, this.values.get(symbol) ?? {})
    return entry
  }

  told(data) {
    if (data.error) return this.complain(data.error)
    for (const [symbol, fresh] of Object.entries(data.lines ?? {})) {
      const held = this.values.get(symbol) ?? {}
      Object.assign(held, fresh)
      this.values.set(symbol, held)
      this.fill(symbol, held)
    }
    if (this.sort && this.sort.key !== "symbol") this.order()
  }

  complain(text) {
    this.note.textContent = text
    this.note.classList.add("on")
    clearTimeout(this.quiet)
    this.quiet = setTimeout(() => this.note.classList.remove("on"), 8000)
  }

  fill(symbol, v) {
    const entry = this.rows.get(symbol)
    if (!entry) return
    const {cells, row} = entry, d = v.decimals ?? 2
    const tone = v.change > 0 ? "up" : v.change < 0 ? "down" : ""
    row.classList.toggle("up", tone === "up")
    row.classList.toggle("down", tone === "down")
    row.classList.toggle("unknown", !!v.trouble)
    if (v.trouble !== undefined) row.title = v.trouble
    const texts = [null, null, fixed(v.last, d), signed(v.change, d), signed(v.change_pct, 2), signed(v.gap_pct, 2), short(v.volume), fixed(v.relative_volume, 1)]
    texts.forEach((text, i) => { if (text !== null && cells[i].textContent !== text) cells[i].textContent = text })
    cells[5].className = `num ${v.gap_pct > 0 ? "up" : v.gap_pct < 0 ? "down" : ""}`
    cells[7].classList.toggle("hot", v.relative_volume >= 1.5)
    if (v.spark && entry.drawn !== v.spark) { entry.drawn = v.spark; spark(entry.canvas, v.spark, v.prev_close) }
  }

  redraw() {
    for (const [symbol, entry] of this.rows) { entry.drawn = null; this.fill(symbol, this.values.get(symbol) ?? {}) }
  }

  sortBy(key) {
    this.sort = this.sort?.key !== key ? {key, down: key !== "symbol"} : this.sort.down === (key !== "symbol") ? {key, down: !this.sort.down} : null
    this.order()
  }

  order() {
    let symbols = this.model.lines.map((l) => l.symbol)
    if (this.sort) {
      const {key, down} = this.sort
      const value = (s) => key === "symbol" ? s : this.values.get(s)?.[key]
      symbols = [...symbols].sort((a, b) => {
        const x = value(a), y = value(b)
        if (x == null || y == null) return (x == null) - (y == null)
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1)
      })
    }
    this.heads.forEach((h, i) => { h.dataset.sort = this.sort?.key === COLUMNS[i].key ? (this.sort.down ? "▾" : "▴") : "" })
    const now = [...this.body.children]
    const want = symbols.map((s) => this.rows.get(s).row)
    if (want.some((r, i) => now[i] !== r) || now.length !== want.length) this.body.replaceChildren(...want)
  }

  mark() {
    for (const [symbol, {row}] of this.rows) {
      const on = symbol === this.model.selected
      row.classList.toggle("on", on)
      if (on) row.scrollIntoView({block: "nearest"})
    }
  }
}

function spark(canvas, values, before) {
  const ratio = window.devicePixelRatio || 1, w = 44, h = 18
  canvas.width = w * ratio
  canvas.height = h * ratio
  const ctx = canvas.getContext("2d"), style = getComputedStyle(canvas)
  ctx.scale(ratio, ratio)
  const low = Math.min(...values), span = Math.max(...values) - low || 1
  const y = (v) => h - 2 - (v - low) / span * (h - 4)
  ctx.strokeStyle = style.getPropertyValue(values.at(-1) >= (before ?? values[0]) ? "--wb-up" : "--wb-down")
  ctx.lineWidth = 1.2
  ctx.beginPath()
  values.forEach((v, i) => ctx.lineTo(1 + i / (values.length - 1) * (w - 2), y(v)))
  ctx.stroke()
}

function node(tag, cls, parent, text) {
  const el = document.createElement(tag)
  if (cls) el.className = cls
  if (text != null) el.textContent = text
  parent?.append(el)
  return el
}
function fixed(v, d) { return v == null ? "–" : v.toFixed(d) }
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
