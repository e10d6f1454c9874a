// The page of the desk: where views stand, the top bar, the replay row, the drawer, the keyboard. What it is told to show
// comes as parameters; what a person does goes to the server as one message each.

const KEYS = {1: "1m", 2: "2m", 3: "3m", 4: "5m", 5: "15m", 6: "30m", 7: "1h", 8: "4h", 9: "1d"}
const LIST_PX = 190, CHART_PX = 704          // least widths: of the watchlist, and of chart and grips
const HELP = [
  ["/", "symbol search"], ["1 … 9", "1m 2m 3m 5m 15m 30m 1h 4h 1D"], ["↑ ↓", "through the watchlist"], ["← →", "move the chart (Shift: a page)"], ["+ −", "zoom"], ["End", "go to the newest bar"],
  ["H", "draw a horizontal level: click where it belongs; drag it, or × at its right end"], ["I", "indicators"], ["E", "regular hours only, or extended"], ["P", "chart as PNG"], ["T", "dark or light"], ["D", "drawer: health of the data"],
  ["M", "ladder: the market into the middle"], ["R", "controls of time, where it can be steered"], ["Space", "play or pause"], [". ,", "one bar, one event"], ["Esc", "close what is open"], ["?", "these keys"],
]
const MOUSE = "Wheel zooms at the right edge, Shift+wheel or drag moves, drag an axis to scale it, double click resets."

export function render({model, view}) {
  guardLayout(view)
  const desk = new Desk(model)
  const page = view.model.document
  page.on_event("connection_lost", () => desk.lost(true))
  page.on_event("client_reconnected", () => desk.lost(false))
  model.on("lifecycle:remove", () => desk.remove())
  return desk.root
}

class Desk {
  constructor(model) {
    this.model = model
    this.asked = new Map()           // study -> on or off, clicked and not answered yet
    this.build()
    this.place()
    model.on("studies", () => { for (const [name, on] of this.asked) if (model.studies.includes(name) === on) this.asked.delete(name) })
    model.on("active", () => this.asked.clear())
    for (const p of ["symbol", "timeframe", "studies", "is_regular_only", "theme", "palette", "active", "layout", "label", "unfit"]) model.on(p, () => this.draw())
    model.on("colours", () => this.colour())
    model.on("health", () => this.drawHealth())
    model.on("drawer", () => this.drawDrawer())
    model.on("widths", () => this.drawWidths())
    model.on("charts", () => this.place())
    model.on("docked", () => { this.send("docked", true); this.placeDock() })   // Bokeh sends models it was just given back whole with the next message: not with the view's own
    model.on("dock", () => this.drawDock())
    model.on("msg:custom", (event) => this.told(event?.data ?? event))
    this.onResize = () => this.drawWidths()
    window.addEventListener("resize", this.onResize)
    this.onKey = (e) => this.key(e)
    this.onPress = (e) => { if (!e.composedPath().includes(this.menu.parentNode)) this.menu.classList.remove("on") }
    window.addEventListener("pointerdown", this.onPress)
    this.onDrawer = () => this.send("drawer", !this.model.drawer)
    window.addEventListener("keydown", this.onKey)
    window.addEventListener("workbench:drawer", this.onDrawer)
    this.onReplay = () => { this.steering = !this.steering; this.drawHealth() }
    window.addEventListener("workbench:replay", this.onReplay)
    this.colour()
    this.draw()
    this.placeDock()
    this.drawDock()
    this.drawDrawer()
    this.drawHealth()
    if (model.greeting) this.told({say: model.greeting})
    this.send("ready", true)
  }

  remove() {
    window.removeEventListener("keydown", this.onKey)
    window.removeEventListener("resize", this.onResize)
    clearInterval(this.awaiting)
    window.removeEventListener("pointerdown", this.onPress)
    window.removeEventListener("workbench:drawer", this.onDrawer)
    window.removeEventListener("workbench:replay", this.onReplay)
  }

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
  send(what, value) { this.model.send_msg({do: what, value}) }
  chart(detail) { window.dispatchEvent(new CustomEvent("workbench:chart", {detail: {...detail, index: this.model.active}})) }

  // -- parts ---------------------------------------------------------------------------------------------------------------

  build() {
    const r = this.root = node("div", "desk")
    this.bar = node("div", "bar", r)
    this.buildBar()
    r.addEventListener("change", (e) => this.letGo(e))
    this.replay = node("div", "replay", r)
    this.buildReplay()
    const middle = node("div", "middle", r)
    this.left = node("div", "left", middle)
    this.grip = node("div", "grip", middle)
    this.drags(this.grip, "watchlist")
    this.main = node("div", "main", middle)
    this.gripR = node("div", "grip dock-grip", middle)
    this.drags(this.gripR, "dock")
    this.side = node("div", "dock", middle)
    this.buildDock()
    this.bottom = node("div", "bottom", r)
    this.gripY = node("div", "gripY", this.bottom)
    this.drags(this.gripY, "drawer")
    this.details = node("div", "details", this.bottom)
    this.gone = node("div", "gone", r, "The desk's server does not answer: everything on this page is old. Start it again; the page reloads when it is back.")
    this.toasts = node("div", "toasts", r)
    this.help = node("div", "help", r)
    const help = [...HELP.slice(0, -2), ...this.model.tabs.map(([, title, key]) => [key.toUpperCase(), `right column: ${title.toLowerCase()}`]), ...HELP.slice(-2)]
    this.help.innerHTML = `<div><h2>Keys</h2><dl>${help.map(([k, t]) => `<dt>${k.split(" ").filter(Boolean).map((x) => `<kbd>${x}</kbd>`).join(" ")}</dt><dd>${t}</dd>`).join("")}</dl><p>${MOUSE}</p></div>`
    this.help.addEventListener("click", () => this.help.classList.remove("on"))
  }

  buildBar() {
    const form = node("form", "find", this.bar)
    this.find = node("input", "", form)
    Object.assign(this.find, {spellcheck: false, autocomplete: "off", title: "Symbol ( / )", ariaLabel: "Symbol"})
    form.addEventListener("submit", (e) => { e.preventDefault(); if (this.find.value.trim()) this.send("symbol", this.find.value.trim()); this.find.blur() })
    this.find.addEventListener("focus", () => { this.find.value = this.model.symbol; this.find.select() })
    this.fit = () => { this.find.style.width = `${Math.max(104, this.find.value.length * 7.4 + 22)}px` }
    this.find.addEventListener("blur", () => { this.find.value = this.model.label })
    const frames = node("div", "frames", this.bar)
    this.frames = this.model.timeframes.map((tf) => {
      const key = Object.keys(KEYS).find((k) => KEYS[k] === tf)
      const b = button(frames, tf.replace("d", "D").replace("w", "W"), key ? `${tf} ( ${key} )` : tf, () => this.send("timeframe", tf))
      Object.assign(b.dataset, {tf, title: b.title})
      return b
    })
    this.hours = button(this.bar, "RTH", "Regular hours only, or with pre-market and after-hours ( E )", () => this.send("regular", !this.model.is_regular_only))
    node("i", "sep", this.bar)
    const box = node("div", "pop", this.bar)
    this.indicators = button(box, "Indicators", "Indicators ( I )", () => this.menu.classList.toggle("on"))
    this.menu = node("div", "menu", box)
    this.buildMenu()
    this.draw1 = button(this.bar, "Level", "Draw a horizontal level ( H )", () => this.chart({do: "level", on: true}))
    node("i", "sep", this.bar)
    this.layouts = [1, 2, 4].map((n) => button(this.bar, icon({1: "one", 2: "two", 4: "four"}[n]), {1: "One chart", 2: "Two charts", 4: "Four charts"}[n], () => this.send("layout", n)))
    this.opener = button(this.bar, icon("dock"), `Right column: ${this.model.tabs.map(([, title, key]) => `${title.toLowerCase()} ( ${key.toUpperCase()} )`).join(", ")}`, () => this.toggleDock())
    button(this.bar, "PNG", "Chart as picture ( P )", () => this.chart({do: "png"}))
    this.sun = button(this.bar, icon("theme"), "Dark or light ( T )", () => this.flip())
    this.eye = button(this.bar, icon("palette"), "Colours of up and down: teal and red, or blue and orange", () => this.send("look", {palette: this.model.palette === "teal" ? "blue" : "teal"}))
    button(this.bar, "?", "Keys ( ? )", () => this.help.classList.toggle("on"))
    this.strip = node("div", "strip-slot", this.bar)
  }

  buildDock() {
    const head = node("div", "tabs", this.side)
    this.tabs = this.model.tabs.map(([name, title, key]) => Object.assign(button(head, title, `${title} ( ${key.toUpperCase()} )`, () => this.send("dock", name)), {name}))
    node("i", "fill", head)
    button(head, "×", "Close this column", () => this.send("dock", ""))
    this.slot = node("div", "slot", this.side)
  }
  toggleDock(name) {
    const last = this.lastTab ?? this.model.tabs[0]?.[0]
    this.send("dock", name ? (this.model.dock === name ? "" : name) : this.model.dock ? "" : last)
  }
  placeDock() { this.slot.replaceChildren(...(this.model.get_child("docked") ?? []).filter(Boolean)) }
  drawDock() {
    const {dock} = this.model
    this.lastTab = dock || this.lastTab
    this.root.classList.toggle("docked", !!dock)
    this.opener.classList.toggle("on", !!dock)
    for (const tab of this.tabs) tab.classList.toggle("on", tab.name === dock)
    this.draw()
    this.drawWidths()
  }

  buildMenu() {
    this.boxes = this.model.choices.map(([name, label]) => {
      const line = node("label", "", this.menu), box = node("input", "", line)
      box.type = "checkbox"
      box.value = name
      line.append(label)
      box.addEventListener("change", () => this.toggle(name, box.checked))
      return box
    })
    const form = node("form", "", this.menu), field = node("input", "own", form)
    Object.assign(field, {placeholder: "other, e.g. ema 34", spellcheck: false})
    form.addEventListener("submit", (e) => {
      e.preventDefault()
      const name = field.value.trim().toLowerCase().split(/[\s:,]+/).join(":")
      field.value = ""
      if (name) this.toggle(name, true)
    })
    this.extra = node("div", "", this.menu)
  }
  toggle(name, on) {
    this.asked.set(name, on)
    this.send("study", {name, is_on: on})
  }

  // A control that was used gives the keyboard back: the next key is meant for the desk.
  letGo(e) { if (["checkbox", "range", "select-one"].includes(e.target.type)) e.target.blur() }

  buildReplay() {
    const r = this.replay, play = (value) => () => this.send("play", value)
    node("b", "", r, "REPLAY")
    button(r, icon("start"), "To the start", play({do: "start"}))
    this.pp = button(r, icon("pause"), "Play or pause ( Space )", play({do: "toggle"}))
    button(r, `${icon("step")} bar`, "One bar ( . )", play({do: "step", what: "bar"}))
    button(r, `${icon("step")} event`, "One event ( , )", play({do: "step", what: "event"}))
    this.speed = node("select", "", r)
    this.speed.title = "Speed"
    this.speed.addEventListener("change", () => this.send("play", {do: "speed", speed: Number(this.speed.value)}))
    this.slider = node("input", "seek", r)
    this.slider.type = "range"
    this.slider.step = 60
    this.slider.addEventListener("input", () => { this.seeking = true; this.when.textContent = this.moment(Number(this.slider.value)) })
    this.slider.addEventListener("change", () => { this.seeking = false; this.send("play", {do: "seek", ts: Number(this.slider.value)}) })
    this.when = node("span", "when", r)
  }

  place() {
    const m = this.model
    this.left.replaceChildren(m.get_child("watchlist"))
    this.strip.replaceChildren(m.get_child("strip"))
    this.cells = (m.get_child("charts") ?? []).filter(Boolean).map((el, i) => {
      const cell = node("div", "cell")
      cell.append(el)
      cell.addEventListener("pointerdown", () => { if (this.model.active !== i) this.send("active", i) }, true)
      return cell
    })
    this.main.replaceChildren(...this.cells)
    this.draw()
  }

  // -- showing -------------------------------------------------------------------------------------------------------------

  colour() {
    for (const [name, value] of Object.entries(this.model.colours)) document.documentElement.style.setProperty(`--wb-${name.replaceAll("_", "-")}`, value)
    window.dispatchEvent(new CustomEvent("workbench:look"))
    document.documentElement.style.colorScheme = this.model.theme
    document.documentElement.style.background = this.model.colours.background
  }

  draw() {
    const m = this.model
    if (this.find.getRootNode().activeElement !== this.find) { this.find.value = m.label; this.fit() }
    for (const b of this.frames) {
      const why = m.unfit[b.dataset.tf]
      b.classList.toggle("on", b.dataset.tf === m.timeframe)
      b.classList.toggle("unfit", !!why)
      b.title = why ?? b.dataset.title
    }
    this.hours.classList.toggle("on", m.is_regular_only)
    for (const box of this.boxes) box.checked = this.asked.get(box.value) ?? m.studies.includes(box.value)
    this.drawExtra(m.studies.filter((s) => !this.boxes.some((b) => b.value === s)))
    this.layouts.forEach((b, i) => b.classList.toggle("on", [1, 2, 4][i] === m.layout))
    this.main.className = `main n${m.layout}`
    this.cells?.forEach((c, i) => c.classList.toggle("active", m.layout > 1 && i === m.active))
    const query = new URLSearchParams(location.search)
    query.set("symbol", m.symbol)
    query.set("tf", m.timeframe)
    query.set("theme", m.theme)
    if (m.dock) query.set("dock", m.dock); else query.delete("dock")
    const address = `${location.pathname}?${query.toString().replaceAll("%3A", ":")}`
    if (m.symbol && address !== location.pathname + location.search) history.replaceState(null, "", address)
    document.title = m.label ? `${m.label} ${m.timeframe}` : "Desk"
  }

  // Built anew only when there are others: a click between press and release would lose its target.
  drawExtra(names) {
    if (String(names) === this.extraShown) return
    this.extraShown = String(names)
    this.extra.replaceChildren(...names.map((name) => {
      const line = node("label"), box = node("input", "", line)
      box.type = "checkbox"
      box.checked = true
      line.append(name.replaceAll(":", " ").toUpperCase())
      box.addEventListener("change", () => this.toggle(name, box.checked))
      return line
    }))
  }

  drawHealth() {
    const h = this.model.health
    const p = h.playback ?? {}
    const steered = !!p.is_shown
    this.root.classList.toggle("replaying", steered)
    this.root.classList.toggle("steering", steered || (!!this.steering && !!p.speeds))
    if (p.speeds) this.drawReplay(p)
    this.root.classList.toggle("dead", h.mode === "STALE" || h.mode === "REFUSED")
    if (this.model.drawer) this.drawDetails()
  }

  drawReplay(p) {
    this.replay.firstChild.textContent = p.name
    this.pp.innerHTML = icon(p.is_paused ? "play" : "pause")
    if (this.speed.options.length !== p.speeds.length) this.speed.replaceChildren(...p.speeds.map((s) => new Option(`${s}×`, s)))
    const near = p.speeds.reduce((a, b) => Math.abs(b - p.speed) < Math.abs(a - p.speed) ? b : a)
    if (this.speed.getRootNode().activeElement !== this.speed) this.speed.value = near
    this.offset = p.offset
    if (this.seeking) return
    Object.assign(this.slider, {min: p.first, max: p.last})
    this.slider.value = p.now
    this.when.textContent = this.moment(p.now)
  }
  moment(ts) {
    const d = new Date((ts + (this.offset ?? 0)) * 1000)
    return `${d.toUTCString().slice(0, 16)} ${d.toISOString().slice(11, 19)} NY`
  }

  drawDrawer() {
    this.root.classList.toggle("drawer", this.model.drawer)
    if (this.model.drawer) this.drawDetails()
  }

  drawDetails() {
    const h = this.model.health
    const rows = [
      ["Mode", h.mode], ["Source", `${h.source ?? ""} · ${h.detail ?? ""}`], ["Reason", h.reason || "–"], ["Last data", h.age_s == null ? "none yet" : `${h.age_s} s ago`],
      ["Latency p50 / p95", h.p50 == null ? "–" : `${h.p50} / ${h.p95} ms`], ["Events", (h.n_events ?? 0).toLocaleString("en-US")], ["Gaps not yet repaired", h.gaps], ["History reads under way", h.backfilling],
      ["Events dropped", h.dropped], ["Failures in the hub", h.errors], ["Failures on this page", h.desk_errors],
      ["Second provider", h.agreement || "none"],
    ]
    const bad = Object.entries(h.quarantined ?? {})
    this.details.innerHTML = `<div class="tab">Health</div><div class="cols"><table>${rows.map(([k, v]) => `<tr><th>${k}</th><td>${escape(v ?? "–")}</td></tr>`).join("")}</table>
      <table><tr><th colspan="2">Quarantined: kept out of the bars, counted by reason</th></tr>${bad.length ? bad.map(([why, n]) => `<tr><td class="n">${n.toLocaleString("en-US")}</td><td>${escape(why)}</td></tr>`).join("") : "<tr><td>nothing</td></tr>"}</table></div>`
  }

  drawWidths() {
    const w = this.model.widths
    if (this.dragging) return
    const left = w.watchlist ?? (window.innerWidth >= 1800 ? 440 : 384)          // as wide as on the big screen, it would hide the chart on a small one
    const dock = this.model.dock ? this.fitting("dock", w.dock ?? 420) : 0
    const room = window.innerWidth - CHART_PX - dock
    this.side.classList.toggle("over", room < LIST_PX)          // too narrow for both: the column lies over the chart
    this.root.style.setProperty("--dock", `${dock}px`)
    this.root.style.setProperty("--left", `${Math.max(LIST_PX, Math.min(left, room < LIST_PX ? window.innerWidth - CHART_PX : room))}px`)
    this.root.style.setProperty("--drawer", `${Math.min(w.drawer ?? 246, Math.round(window.innerHeight * 0.6))}px`)
  }

  told(data) {
    if (!data.say) return
    this.asked.clear()          // what was asked for may have been refused
    this.draw()
    const toast = node("div", "toast", this.toasts, data.say)
    setTimeout(() => toast.remove(), 9000)
    toast.addEventListener("click", () => toast.remove())
  }

  flip() { this.send("look", {theme: this.model.theme === "dark" ? "light" : "dark"}) }

  // A size that leaves the others room.
  fitting(name, size) {
    const [least, most] = {
      watchlist: [LIST_PX, window.innerWidth - CHART_PX - (this.model.dock ? this.side.offsetWidth : 0)], dock: [320, Math.max(320, window.innerWidth - CHART_PX - LIST_PX)],
      drawer: [80, window.innerHeight * 0.6],
    }[name]
    return Math.max(least, Math.min(size, most))
  }

  // -- hands ---------------------------------------------------------------------------------------------------------------

  drags(grip, name) {
    grip.addEventListener("pointerdown", (e) => {
      grip.setPointerCapture(e.pointerId)
      this.dragging = true
      const move = (ev) => {
        const size = {watchlist: ev.clientX, dock: window.innerWidth - ev.clientX, drawer: window.innerHeight - ev.clientY}[name]
        this.size = Math.round(this.fitting(name, size))
        this.root.style.setProperty({watchlist: "--left", dock: "--dock", drawer: "--drawer"}[name], `${this.size}px`)
      }
      const up = () => {
        this.dragging = false
        grip.removeEventListener("pointermove", move)
        if (this.size) this.send("widths", {...this.model.widths, [name]: this.size})
      }
      grip.addEventListener("pointermove", move)
      grip.addEventListener("pointerup", up, {once: true})
    })
  }

  key(e) {
    const at = e.composedPath()[0]
    if (e.key === "Escape") {
      this.help.classList.remove("on")
      this.menu.classList.remove("on")
      this.chart({do: "level", on: false})
      at.blur?.()
      return
    }
    if (e.ctrlKey || e.metaKey || e.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(at.tagName)) return
    if (this.act(e)) e.preventDefault()
  }

  act(e) {
    const m = this.model, steers = !!m.health.playback?.speeds
    if (KEYS[e.key]) return this.send("timeframe", KEYS[e.key]), true
    switch (e.key) {
      case "/": this.find.focus(); return true
      case "ArrowDown": this.send("step", 1); return true
      case "ArrowUp": this.send("step", -1); return true
      case "ArrowLeft": this.chart({do: "pan", share: e.shiftKey ? -0.9 : -0.1}); return true
      case "ArrowRight": this.chart({do: "pan", share: e.shiftKey ? 0.9 : 0.1}); return true
      case "+": case "=": this.chart({do: "zoom", factor: 1.25}); return true
      case "-": this.chart({do: "zoom", factor: 0.8}); return true
      case "End": this.chart({do: "home"}); return true
      case "?": this.help.classList.toggle("on"); return true
    }
    const tab = m.tabs.find(([, , key]) => key === e.key.toLowerCase())
    if (tab) return this.toggleDock(tab[0]), true
    switch (e.key.toLowerCase()) {
      case "h": this.chart({do: "level", on: true}); return true
      case "e": this.send("regular", !m.is_regular_only); return true
      case "i": this.menu.classList.toggle("on"); return true
      case "p": this.chart({do: "png"}); return true
      case "t": this.flip(); return true
      case "d": this.send("drawer", !m.drawer); return true
      case "r": if (steers) this.onReplay(); return steers
      case " ": if (steers) this.send("play", {do: "toggle"}); return steers
      case ".": if (steers) this.send("play", {do: "step", what: "bar"}); return steers
      case ",": if (steers) this.send("play", {do: "step", what: "event"}); return steers
    }
    return false
  }
}

// Bokeh may measure a figure that came later before it has given it a layout, and throws; so the layout is made first.
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
function button(parent, text, title, action) {
  const b = node("button", "", parent)
  b.innerHTML = text          // only texts and icons of this file
  b.type = "button"
  b.title = title
  b.addEventListener("click", (e) => { action(e); b.blur() })
  return b
}
const ICONS = {
  start: '<path d="M3 3h2v10H3zM13 3v10L6 8z"/>', play: '<path d="M4 3l9 5-9 5z"/>', pause: '<path d="M4 3h3v10H4zM9 3h3v10H9z"/>', step: '<path d="M3 3l7 5-7 5zM11 3h2v10h-2z"/>',
  one: '<path d="M2.5 3.5h11v9h-11z" class="line"/>', two: '<path d="M2.5 3.5h11v9h-11zM8 3.5v9" class="line"/>', four: '<path d="M2.5 3.5h11v9h-11zM8 3.5v9M2.5 8h11" class="line"/>',
  dock: '<path d="M2.5 3.5h11v9h-11z" class="line"/><path d="M9.5 3.5h4v9h-4z"/>',
  theme: '<circle cx="8" cy="8" r="5.5" class="line"/><path d="M8 2.5a5.5 5.5 0 0 1 0 11z"/>', palette: '<path d="M3 8.5h4V13H3z"/><path d="M9.5 3.5h3.5V13H9.5z" class="line"/>',
}
function icon(name) { return `<svg viewBox="0 0 16 16" width="14" height="14">${ICONS[name]}</svg>` }
function escape(text) { return String(text).replace(/[&<>"]/g, (c) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]) }
