// The health strip's page: a line at the right end of the top bar, and a row of controls where time can be steered.

export function render({model}) {
  const strip = new Strip(model)
  return strip.root
}

const GOOD = new Set(["LIVE", "SIMULATED"])
const BAD = new Set(["STALE", "REFUSED"])

class Strip {
  constructor(model) {
    this.model = model
    this.root = node("div", "strip")
    this.session = node("span", "session", this.root)
    this.clock = node("button", "clock", this.root)
    this.clock.addEventListener("click", () => window.dispatchEvent(new CustomEvent("workbench:replay")))
    this.facts = node("span", "facts", this.root)
    this.mode = node("button", "mode", this.root)
    this.mode.addEventListener("click", () => window.dispatchEvent(new CustomEvent("workbench:drawer")))
    model.on("state", () => this.draw())
    this.draw()
  }

  draw() {
    const s = this.model.state
    if (!s.mode) return
    put(this.session, {PRE: "PRE-MARKET", RTH: "OPEN", AH: "AFTER-HOURS", CLOSED: "CLOSED"}[s.segment] ?? s.segment)
    this.session.className = `session ${s.segment}`
    put(this.clock, `${s.clock} NY`)
    this.clock.title = `${s.date}, New York${this.model.playback.speeds ? "\nClick for the controls of time ( R )" : ""}`
    const facts = []
    if (s.p50 != null) facts.push(`lat ${ms(s.p50)} / ${ms(s.p95)}`)
    if (s.gaps) facts.push(`${s.gaps} gap${s.gaps > 1 ? "s" : ""}`)
    if (s.backfilling) facts.push("backfilling")
    const bad = Object.values(s.quarantined ?? {}).reduce((a, b) => a + b, 0)
    if (bad) facts.push(`${bad} quarantined`)
    put(this.facts, facts.join(" · "))
    this.facts.title = [`latency p50 / p95`, ...Object.entries(s.quarantined ?? {}).map(([why, n]) => `${n} × ${why}`)].join("\n")
    const old = s.age_s != null && (s.age_s >= 5 || BAD.has(s.mode)) ? ` ${age(s.age_s)}` : ""
    put(this.mode, `${BAD.has(s.mode) ? "■" : "●"} ${s.mode}${s.delay_min ? ` −${s.delay_min} min` : ""}${old}`)
    this.mode.className = `mode ${GOOD.has(s.mode) ? "good" : BAD.has(s.mode) ? "bad" : s.mode === "CLOSED" ? "closed" : "warn"}`
    this.mode.title = `${s.source} · ${s.detail}${s.reason ? `\n${s.reason}` : ""}\nClick for details`
  }
}

function put(el, text) { if (el.textContent !== text) el.textContent = text }
function node(tag, cls, parent) {
  const el = document.createElement(tag)
  el.className = cls
  parent?.append(el)
  return el
}
function ms(v) { return v == null ? "–" : v < 10000 ? `${Math.round(v)} ms` : `${Math.round(v / 1000)} s` }
function age(s) { return s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d` }
