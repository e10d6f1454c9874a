// The page of who finds no free place: says so, and opens the desk when the server says that one is free.

export function render({model}) {
  const root = document.createElement("div"), c = model.colours
  Object.assign(root.style, {
    height: "100vh", display: "flex", flexDirection: "column", alignItems: "center", justifyContent: "center", gap: "8px", padding: "0 10%", textAlign: "center",
    background: c.background, color: c.text, font: '14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Ubuntu, "Liberation Sans", Arial, sans-serif',
  })
  const title = document.createElement("b"), text = document.createElement("span")
  title.textContent = model.cap === 1 ? "The one place at this desk is taken" : `All ${model.cap} places at this desk are taken`
  text.textContent = "This page opens by itself when one becomes free. Close a tab that nobody looks at, or start the desk with a higher session_cap."
  text.style.color = c.muted
  root.append(title, text)
  model.on("msg:custom", () => location.reload())
  return root
}
