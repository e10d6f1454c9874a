// A page of one view: colours, symbol, health strip, the view.

export function render({model}) {
  const root = document.createElement("div")
  root.className = "app"
  const bar = root.appendChild(document.createElement("div"))
  bar.className = "bar"
  const form = bar.appendChild(document.createElement("form")), field = form.appendChild(document.createElement("input"))
  Object.assign(field, {spellcheck: false, autocomplete: "off", title: "Underlying ( / )", ariaLabel: "Underlying"})
  form.addEventListener("submit", (e) => { e.preventDefault(); if (field.value.trim()) model.send_msg({symbol: field.value.trim()}); field.blur() })
  field.addEventListener("focus", () => field.select())
  const note = bar.appendChild(document.createElement("span"))
  note.className = "note"
  const strip = bar.appendChild(document.createElement("div"))
  strip.className = "strip-slot"
  const body = root.appendChild(document.createElement("div"))
  body.className = "body"
  strip.append(model.get_child("strip"))
  body.append(model.get_child("view"))

  const name = () => {
    field.value = model.symbol
    note.textContent = ""
    document.title = `${model.symbol} ${location.pathname.split("/").pop()}`
    const query = new URLSearchParams(location.search)
    query.set("symbol", model.symbol)
    query.set("theme", model.theme)
    history.replaceState(null, "", `${location.pathname}?${query}`)
  }
  const colour = () => {
    for (const [token, value] of Object.entries(model.colours)) document.documentElement.style.setProperty(`--wb-${token.replaceAll("_", "-")}`, value)
    document.documentElement.style.colorScheme = model.theme
    document.documentElement.style.background = model.colours.background
  }
  const key = (e) => { if (e.key === "/" && e.composedPath()[0].tagName !== "INPUT") { e.preventDefault(); field.focus() } }
  window.addEventListener("keydown", key)
  model.on("lifecycle:remove", () => window.removeEventListener("keydown", key))
  model.on("symbol", name)
  model.on("colours", colour)
  model.on("msg:custom", (event) => { note.textContent = (event?.data ?? event).error ?? "" })
  colour()
  name()
  model.send_msg({do: "ready"})
  return root
}
