// The matrix page: top bar, board left, ladder right. What a person does goes to the server as one message each.

export function render({model, view}) {
  const page = new Page(model)
  const doc = view.model.document
  doc.on_event("connection_lost", () => page.lost(true))
  doc.on_event("client_reconnected", () => page.lost(false))
  model.on("lifecycle:remove", () => page.remove())
  return page.root
}

class Page {
  constructor(model) {
    this.model = model
    this.build()
    this.place()
    for (const p of ["symbol", "label", "theme"]) model.on(p, () => this.draw())
    for (const p of ["board", "ladder", "strip"]) model.on(p, () => this.place())
    model.on("colours", () => this.colour())
    model.on("msg:custom", (event) => this.say((event?.data ?? event).say))
    this.onKey = (e) => this.key(e)
    window.addEventListener("keydown", this.onKey)
    this.colour()
    this.draw()
    if (model.greeting) this.say(model.greeting)
  }

  remove() {
    window.removeEventListener("keydown", this.onKey)
    clearInterval(this.awaiting)
  }

  send(what, value) { this.model.send_msg({do: what, value}) }

  lost(is) {
    this.root.classList.toggle("lost", is)
    clearInterval(this.awaiting)
    if (is) this.awaiting = setInterval(() => this.returnWhenServed(), 2000)
  }
  // A server that was started anew knows nothing of this page's session; the address says what it has to show.
  async returnWhenServed() {
    const answer = await fetch(new URL("static/js/bokeh.min.js", location), {method: "HEAD", cache: "no-store"}).catch(() => null)
    if (answer?.ok && this.root.classList.contains("lost")) location.reload()
  }

  build() {
    const r = this.root = node("div", "matrix")
    const bar = node("div", "top", r)
    const form = node("form", "find", bar)
    this.find = node("input", "", form)
    Object.assign(this.find, {spellcheck: false, autocomplete: "off", title: "Symbol or contract ( / )", ariaLabel: "Symbol"})
    form.addEventListener("submit", (e) => { e.preventDefault(); if (this.find.value.trim()) this.send("symbol", this.find.value.trim()); this.find.blur() })
    this.find.addEventListener("focus", () => { this.find.value = this.model.symbol; this.find.select() })
    this.find.addEventListener("blur", () => { this.find.value = this.model.label })
    this.sun = node("button", "", bar, "Theme")
    this.sun.title = "Dark or light ( T )"
    this.sun.addEventListener("click", () => { this.send("theme"); this.sun.blur() })
    node("span", "keys", bar, "/ symbol · ↑ ↓ through the board · C centre · T theme")
    this.strip = node("div", "strip-slot", bar)
    node("div", "gone", r, "The server does not answer: everything on this page is old. Start it again; the page reloads when it is back.")
    const middle = node("div", "middle", r)
    this.left = node("div", "left", middle)
    this.right = node("div", "right", middle)
    this.toasts = node("div", "toasts", r)
  }

  place() {
    this.left.replaceChildren(this.model.get_child("board"))
    this.right.replaceChildren(this.model.get_child("ladder"))
    this.strip.replaceChildren(this.model.get_child("strip"))
  }

  colour() {
    for (const [name, value] of Object.entries(this.model.colours)) document.documentElement.style.setProperty(`--wb-${name.replaceAll("_", "-")}`, value)
    document.documentElement.style.colorScheme = this.model.theme
    document.documentElement.style.background = this.model.colours.background
  }

  draw() {
    const m = this.model
    if (this.find.getRootNode().activeElement !== this.find) this.find.value = m.label
    this.find.style.width = `${Math.max(104, this.find.value.length * 7.4 + 22)}px`
    const query = new URLSearchParams(location.search)
    query.set("symbol", m.symbol)
    query.set("theme", m.theme)
    const address = `${location.pathname}?${query.toString().replaceAll("%3A", ":")}`
    if (m.symbol && address !== location.pathname + location.search) history.replaceState(null, "", address)
    document.title = m.label ? `${m.label} matrix` : "Matrix"
  }

  say(text) {
    if (!text) return
    const toast = node("div", "toast", this.toasts, text)
    setTimeout(() => toast.remove(), 9000)
    toast.addEventListener("click", () => toast.remove())
  }

  key(e) {
    const at = e.composedPath()[0]
    if (e.key === "Escape") return at.blur?.()
    if (e.ctrlKey || e.metaKey || e.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(at.tagName)) return
    const does = {"/": () => this.find.focus(), ArrowDown: () => this.send("step", 1), ArrowUp: () => this.send("step", -1), t: () => this.send("theme")}[e.key]
    if (does) { does(); e.preventDefault() }
  }
}

function node(tag, cls, parent, text) {
  const el = document.createElement(tag)
  if (cls) el.className = cls
  if (text != null) el.textContent = text
  parent?.append(el)
  return el
}
