// The frame of a chart in a notebook cell: one line with symbol, bar length and health, then the chart. It knows nothing of markets.

const HELLO_MS = 250, HELLOS = 480  // by then the page can hear answers; said again until one comes, for two minutes

export function render({model, view, el}) {
  const manager = hush(view)
  const root = node("div", "wbl", el)
  const bar = node("div", "wbl-bar", root)
  const form = node("form", "", bar)
  const symbol = node("input", "wbl-symbol", form)
  Object.assign(symbol, {spellcheck: false, autocomplete: "off", title: "Symbol, then Enter"})
  symbol.setAttribute("aria-label", "Symbol")
  const frames = node("div", "wbl-frames", bar)
  const say = node("span", "wbl-say", bar)
  const health = node("span", "wbl-health", bar)
  const place = node("div", "wbl-chart", root)

  const dress = () => {
    for (const [name, value] of Object.entries(model.colours)) root.style.setProperty(`--wb-${name.replaceAll("_", "-")}`, value)
    root.style.colorScheme = model.colours.scheme
  }
  const fill = () => {
    symbol.value = model.symbol
    frames.replaceChildren(...model.timeframes.map((name) => {
      const button = node("button", name === model.timeframe ? "on" : "", null, name)
      button.type = "button"
      button.setAttribute("aria-pressed", String(name === model.timeframe))
      button.addEventListener("click", () => model.send_msg({do: "timeframe", value: name}))
      return button
    }))
  }
  const judge = () => {
    const h = model.health
    health.className = `wbl-health ${h.tone ?? ""}`
    health.textContent = h.text ?? ""
    health.title = h.reason ?? ""
    say.textContent = model.message
  }
  form.addEventListener("submit", (e) => { e.preventDefault(); symbol.blur(); model.send_msg({do: "symbol", value: symbol.value}) })
  symbol.addEventListener("focus", () => symbol.select())
  symbol.addEventListener("blur", () => { if (!symbol.value.trim()) symbol.value = model.symbol })
  for (const kind of ["keydown", "keyup", "keypress"]) root.addEventListener(kind, (e) => e.stopPropagation())  // the notebook has keys of its own

  model.on("symbol", fill)
  model.on("timeframe", fill)
  model.on("colours", dress)
  model.on("health", judge)
  model.on("message", judge)
  dress(); fill(); judge()
  place.append(model.get_child("chart"))
  model.on("remove", () => {  // the cell was cleared or deleted: said at once, for in a moment the document is no more
    clearInterval(hello)
    model.send_msg({do: "bye"})
    manager?.process_events()
  })
  let hellos = 0
  const hello = setInterval(() => {
    if (model.is_heard || hellos++ >= HELLOS || !el.isConnected) return clearInterval(hello)
    model.send_msg({do: "hello", value: pageTheme()})
  }, HELLO_MS)
}

// In a notebook Panel's comm manager sends back what it was just sent, and changes marked as not to be told (the view's own). A value
// that comes back may not validate, and takes everything in its message down with it.
function hush(view) {
  const manager = view.model.document?.roots().find((root) => root.type === "panel.models.comm_manager.CommManager")
  if (!manager || manager.is_hushed) return manager
  const tell = manager._document_changed.bind(manager)
  manager._document_changed = (event) => { if (event.sync) tell(event) }
  manager.is_hushed = true
  return manager
}

// JupyterLab says on its body whether its theme is light; elsewhere the system's wish counts.
function pageTheme() {
  const light = document.body.dataset.jpThemeLight
  if (light != null) return light === "false" ? "dark" : "light"
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"
}

function node(tag, cls, parent, text) {
  const el = document.createElement(tag)
  if (cls) el.className = cls
  if (text != null) el.textContent = text
  parent?.append(el)
  return el
}
