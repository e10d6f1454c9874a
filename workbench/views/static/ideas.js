// The page of ideas: the question above, ranked rows, the checklist of the row that is looked at, the funnel, what has to be known.
// The server answers every few seconds. While the pointer is on the rows they keep their order; their numbers go on.

const MARKS = {pass: "✓", warn: "!", fail: "✕", unknown: "?"}
const FIELDS = {
  buy: [
    ["Budget $", "Most that one contract may cost, at the ask", ["budget_usd"], "money"], ["Days", "Calendar days to expiry", ["min_dte", "max_dte"]],
    ["Delta", "Delta without its sign", ["min_delta", "max_delta"]],
  ],
  covered: [
    ["Delta", "Delta of the call that is sold", ["min_call_delta", "max_call_delta"]], ["Above spot ≤ %", "How far the strike may be above the spot", ["max_otm_pct"]],
    ["Days ≤", "Calendar days to expiry; 0: expires today", ["call_dte"]],
  ],
}
const OLD_S = 60                   // as the chain: from here on a quote is marked
const SELECTS = [["sell_at", "Sold at", [["bid", "bid"], ["mid", "mid"]]], ["rank_by", "Ranked by", [["premium_yield", "yield"], ["ev", "expected value"], ["pop", "chance of profit"], ["strike", "strike"]]]]
// heading, class, title, cell
const BUY = [
  ["Contract", "left name", "", (r) => [`${short(r.strike)} ${r.right}`, r.day]], ["DTE", "w2", "Calendar days to expiry", (r) => r.dte], ["Delta", "w1", "", (r) => fixed(r.delta, 2)], ["Bid", "w2", "", (r) => fixed(r.bid_usd, 2)], ["Ask", "", "", (r) => fixed(r.ask_usd, 2)],
  ["Mid", "w3", "", (r) => fixed(r.mid_usd, 3)], ["IV %", "w2", "Implied volatility", (r) => pct(r.iv, 1)], ["Theta/h", "w2", "What an hour takes from one contract, USD", (r) => fixed(r.theta_usd_per_hour, 2)], ["Break-even", "w2", "Of the underlying at expiry, after the ask", (r) => fixed(r.break_even_usd, 2)],
  ["Cost $", "strong", "One contract at the ask", (r) => fixed(r.cost_usd, 0)], ["Qty", "w2", "How many the budget pays for", (r) => r.contracts],
]
const COVERED = [
  ["Call", "left name", "", (r) => [short(r.strike), r.day]], ["Delta", "w1", "", (r) => fixed(r.delta, 2)], ["Bid", "", "", (r) => fixed(r.bid, 2)], ["Yield %", "strong", "Credit, of the spot", (r) => pct(r.premium_yield, 3)], ["Above %", "w2", "Strike above the spot", (r) => pct(r.otm_frac, 2)],
  ["POP %", "", "Chance that stock and call together make money", (r) => pct(r.pop, 1)], ["Assigned %", "w1", "Chance that the stock is called away", (r) => pct(r.p_assigned, 1)], ["Break-even", "w2", "Of stock and call together", (r) => fixed(r.breakeven, 2)], ["Max profit", "w2", "USD a share", (r) => fixed(r.max_profit, 2)],
  ["Spread %", "w3", "Of mid", (r) => pct(r.spread_frac, 1)], ["OI", "w3", "Open interest, last night's", (r) => whole(r.open_interest)], ["EV", "", "Expected, USD a share: credit less what the call is worth", (r) => signed(r.ev, 3)],
]

export function render({model, view}) {
  const page = new Ideas(model)
  view.model.document?.on_event("client_reconnected", () => page.ready())
  model.on("lifecycle:remove", () => page.remove())
  page.ready()
  return page.root
}

class Ideas {
  constructor(model) {
    this.model = model
    this.answer = null
    this.isAll = false               // calls that failed are shown too
    this.build()
    for (const p of ["chosen", "symbol"]) model.on(p, () => this.controls())
    model.on("symbol", () => this.forget())
    model.on("selected", () => this.draw())
    model.on("msg:custom", (event) => this.told(event?.data ?? event))
    this.onVisible = () => this.sayShown()
    document.addEventListener("visibilitychange", this.onVisible)
    this.shown = true
    this.controls();
    (window.__workbench ??= {charts: []}).ideas = this
  }

  ready() { this.model.send_msg({do: "ready"}) }
  remove() { document.removeEventListener("visibilitychange", this.onVisible) }
  sayShown() {
    const shown = document.visibilityState === "visible"
    if (shown === this.shown || !this.root.isConnected) return
    this.shown = shown
    this.model.send_msg({do: "shown", value: shown})
  }
  choose(name, value) { this.root.classList.add("old"); this.model.send_msg({do: "choose", name, value}) }

  // -- parts -------------------------------------------------------------------------------------------------------------

  build() {
    this.root = node("div", "ideas")
    const ask = node("div", "ask", this.root)
    this.mode = pair(ask, [["buy", "Buy a contract"], ["covered", "Covered calls 0-DTE"]], (v) => { this.answer = null; this.choose("mode", v) })
    this.direction = pair(ask, [["up", "▲ Up"], ["down", "▼ Down"]], (v) => this.choose("direction", v))
    this.inputs = {}
    this.groups = []
    for (const [mode, fields] of Object.entries(FIELDS)) for (const [label, title, names, cls] of fields) {
      const box = node("label", "", ask, label)
      box.title = title
      names.forEach((name, i) => {
        if (i) node("i", "", box, "–")
        const input = this.inputs[name] = node("input", cls ?? "", box)
        Object.assign(input, {inputMode: "decimal", autocomplete: "off", spellcheck: false, name, ariaLabel: `${label}${names.length > 1 ? (i ? ", at most" : ", at least") : ""}`})
        input.addEventListener("change", () => this.choose(name, input.value))
        input.addEventListener("keydown", (e) => { if (e.key === "Enter") input.blur() })
      })
      this.groups.push([mode, box])
    }
    for (const [name, label, options] of SELECTS) {
      const box = node("label", "", ask, label), select = this.inputs[name] = node("select", "", box)
      select.name = name
      for (const [value, text] of options) node("option", "", select, text).value = value
      select.addEventListener("change", () => { this.choose(name, select.value); select.blur() })
      this.groups.push(["covered", box])
    }
    this.groups.push(["buy", this.direction.root])
    const head = node("div", "head", this.root)
    this.under = node("b", "", head)
    this.count = node("span", "", head)
    this.when = node("span", "push", head)
    this.all = node("button", "", head)
    this.all.addEventListener("click", () => { this.isAll = !this.isAll; this.all.blur(); this.draw() })
    this.body = node("div", "body", this.root)
    this.list = node("div", "list", this.body)
    this.status = node("div", "status on wait", this.list, "Loading the chains …")
    this.table = node("table", "", this.list)
    this.aside = node("div", "aside", this.body)
    this.detail = node("div", "detail", this.aside)
    this.funnel = node("div", "funnel", this.aside)
    this.notes = node("div", "notes", this.aside)
    this.table.addEventListener("pointerenter", () => { this.isHeld = true })
    this.table.addEventListener("pointerleave", () => { this.isHeld = false; this.order = null; this.draw() })
  }

  controls() {
    const {chosen, symbol, is_page} = this.model
    if (!Object.keys(chosen).length) return
    this.mode.choose(chosen.mode)
    this.direction.choose(chosen.direction)
    for (const [mode, box] of this.groups) box.classList.toggle("off", mode !== chosen.mode)
    for (const [name, input] of Object.entries(this.inputs)) if (input.getRootNode().activeElement !== input) input.value = chosen[name]
    this.under.textContent = symbol
    if (!is_page) return
    const query = new URLSearchParams(location.search)
    for (const [name, value] of Object.entries(chosen)) query.set(name, value)
    history.replaceState(null, "", `${location.pathname}?${query}`)
  }

  forget() {
    this.answer = this.order = null
    this.say(`Loading the chains of ${this.model.symbol} …`, true)
    this.draw()
  }

  told({answer, say}) {
    if (say) { this.root.classList.remove("old"); return this.toast(say) }
    if (!answer) return
    this.root.classList.toggle("old", !answer.rows && !!this.answer)
    if (answer.rows) this.answer = answer
    this.n_answers = (this.n_answers ?? 0) + 1
    this.say(answer.status, answer.is_waiting)
    this.draw()
  }

  say(text, isWaiting) {
    this.status.textContent = text ?? ""
    this.status.classList.toggle("on", !!text)
    this.status.classList.toggle("wait", !!isWaiting)
  }

  toast(text) {
    this.bread?.remove()
    const toast = this.bread = node("div", "toast", this.root, text)
    toast.addEventListener("click", () => toast.remove())
    setTimeout(() => toast.remove(), 8000)
  }

  // -- drawing -----------------------------------------------------------------------------------------------------------

  get isBuy() { return (this.answer?.mode ?? this.model.chosen.mode) === "buy" }

  rows() {
    const all = this.answer?.rows ?? [], rows = this.isBuy || this.isAll ? all : all.filter((r) => r.status === "pass")
    if (!this.isHeld || !this.order) { this.order = rows.map((r) => r.symbol); return rows }
    const by = new Map(rows.map((r) => [r.symbol, r])), kept = this.order.filter((s) => by.has(s))
    return [...kept, ...by.keys()].filter((s, i, list) => list.indexOf(s) === i).map((s) => by.get(s))
  }

  draw() {
    const a = this.answer, rows = this.rows(), n = a?.rows.length ?? 0
    this.count.textContent = !a ? "" : this.isBuy ? `${n} ranked` : `${a.n_passed} of ${n} calls pass`
    this.count.title = this.isBuy ? a?.ranked_by ?? "" : ""
    this.when.textContent = a ? `${fixed(a.spot, 2)}  ${a.asof} NY` : ""
    this.all.style.display = a && !this.isBuy && n > a.n_passed ? "" : "none"
    this.all.textContent = this.isAll ? "hide failed" : `show ${n - (a?.n_passed ?? 0)} failed`
    this.looked = rows.find((r) => r.symbol === this.model.selected) ?? rows[0] ?? null
    this.drawTable(rows)
    this.drawDetail()
    this.drawFunnel()
    this.notes.replaceChildren(...(a?.notes ?? []).map((text) => node("p", "", null, text)))
    if (a && this.isBuy) this.notes.prepend(node("p", "", null, `Order: ${a.ranked_by}. Time by clock ${a.clock}.`))
    for (const part of [this.detail, this.notes]) part.style.display = part.childNodes.length ? "" : "none"
  }

  drawTable(rows) {
    this.table.replaceChildren()
    if (!rows.length) return
    const columns = this.isBuy ? BUY : COVERED, tr = node("tr", "", node("thead", "", this.table)), body = node("tbody", "", this.table)
    if (this.isBuy) node("th", "", tr, "")
    for (const [text, cls, title] of columns) node("th", cls.replace("name", "").replace("strong", ""), tr, text).title = title
    node("th", "left", tr, this.isBuy ? "Checks" : "").title = this.isBuy ? "✓ passes, ! warns, ✕ fails, ? not known" : ""
    rows.forEach((r, i) => {
      const line = node("tr", `${r.symbol === this.model.selected ? "on" : r === this.looked ? "chosen" : ""}${r.status === "fail" ? " failed" : ""}${isOld(r) ? " stale" : ""}`, body)
      line.dataset.symbol = r.symbol
      line.title = `${r.label}: select it${isOld(r) ? `; its quote is ${age(r)}` : ""}`
      line.addEventListener("click", () => this.model.send_msg({do: "select", value: r.symbol}))
      if (this.isBuy) node("td", "rank", line, i + 1)
      for (const [, cls, , cell] of columns) {
        const value = cell(r), td = node("td", cls, line, Array.isArray(value) ? value[0] : value)
        if (Array.isArray(value)) node("small", "", td, value[1])
      }
      const last = node("td", "left", line)
      if (this.isBuy) { const marks = node("span", "marks", last); for (const [check, verdict, , , , text] of r.checklist) mark(marks, verdict).title = `${check}: ${text}` }
      else if (r.status === "fail" || r.is_pin_risk) mark(last, r.status === "fail" ? "fail" : "warn").title = [...(r.is_pin_risk ? ["pin risk: the strike is at the spot, so near the close"] : []), ...r.reasons].join("\n")
      else mark(last, "pass").title = "passes every filter"
    })
  }

  drawDetail() {
    const r = this.looked
    this.detail.replaceChildren()
    if (!r) return
    const title = node("div", "title", this.detail, r.label)
    node("span", "", title, r.symbol === this.model.selected ? "selected" : this.isBuy ? "ranked first" : "first of the list")
    const facts = node("div", "facts", this.detail), fact = (name, value) => { const box = node("div", "fact", facts); node("span", "", box, name); node("b", "", box, value) }
    if (isOld(r)) fact("Quote", age(r))
    if (!this.isBuy) return this.drawCall(r, fact)
    fact("Bid × ask", `${fixed(r.bid_usd, 2)} × ${fixed(r.ask_usd, 2)}`)
    fact("IV", `${pct(r.iv, 1)} %`)
    fact("Theta an hour", `${fixed(r.theta_usd_per_hour, 2)} $`)
    fact("Break-even", fixed(r.break_even_usd, 2))
    fact("Cost", `${fixed(r.cost_usd, 2)} $`)
    fact("Budget pays", `${r.contracts} ×`)
    for (const [check, verdict, value, unit, threshold, text] of r.checklist) {
      const row = node("div", "check", this.detail)
      row.title = `${verdict}; ${threshold}`
      mark(row, verdict)
      node("span", "", row, check[0].toUpperCase() + check.slice(1))
      const b = node("b", "", row, value == null ? "–" : number(value))
      if (value != null) node("i", "", b, unit.startsWith("%") ? " %" : unit === "ATR" ? " ATR" : "")
      node("span", "why", row, text)
    }
  }

  drawCall(r, fact) {
    fact("Bid × ask", `${fixed(r.bid, 2)} × ${fixed(r.ask, 2)}`)
    fact("Credit", fixed(r.credit, 3))
    fact("Yield", `${pct(r.premium_yield, 3)} %`)
    fact("Max profit", `${fixed(r.max_profit, 2)} $/sh`)
    fact("Max loss", `${fixed(r.max_loss, 2)} $/sh`)
    fact("Break-even", fixed(r.breakeven, 2))
    fact("Chance of profit", `${pct(r.pop, 1)} %`)
    fact("Assigned", `${pct(r.p_assigned, 1)} %`)
    fact("Expected", `${signed(r.ev, 3)} $/sh`)
    fact("IV", `${pct(r.iv, 1)} %`)
    fact("Open interest", whole(r.open_interest))
    fact("Minutes left", whole(r.minutes_left))
    for (const text of r.reasons) { const row = node("div", "check", this.detail); row.style.gridTemplateColumns = "15px 1fr"; mark(row, "fail"); node("span", "", row, text) }
  }

  drawFunnel() {
    const steps = this.answer?.funnel ?? []
    this.funnel.replaceChildren()
    this.funnel.style.display = steps.length ? "" : "none"
    if (!steps.length) return
    const title = node("div", "title", this.funnel, "Funnel")
    node("span", "", title, `${whole(steps[0][2])} contracts came in`)
    for (const [name, rule, tested, passed, failed, missing] of steps) {
      const row = node("div", `step${passed ? "" : " none"}`, this.funnel)
      row.title = `${name}: ${rule}. ${whole(tested)} came, ${whole(passed)} stayed, ${whole(failed)} failed${missing ? `, ${whole(missing)} without the number` : ""}`
      node("span", "", row, name[0].toUpperCase() + name.slice(1))
      const bar = node("div", "bar", row)
      node("i", "", bar).style.width = `${steps[0][2] ? 100 * passed / steps[0][2] : 0}%`
      node("span", "", bar, rule)
      node("b", "", row, whole(passed))
    }
  }
}

function node(tag, cls, parent, text) {
  const el = document.createElement(tag)
  if (cls) el.className = cls
  if (text != null) el.textContent = text
  parent?.append(el)
  return el
}
function isOld(r) { return !(r.age_s <= OLD_S) }
function age(r) { return r.age_s == null ? "of unknown age" : `${whole(r.age_s)} s old` }
function mark(parent, verdict) { return node("span", `mark ${verdict}`, parent, MARKS[verdict]) }
function pair(parent, items, on) {
  const root = node("div", "pair", parent), self = {root}
  self.choose = (value) => { for (const b of root.children) b.classList.toggle("on", b.dataset.v === value) }
  for (const [value, text] of items) {
    const b = node("button", "", root, text)
    b.dataset.v = value
    b.addEventListener("click", () => { self.choose(value); on(value); b.blur() })
  }
  return self
}
function fixed(v, d) { return v == null ? "–" : v.toLocaleString("en-US", {minimumFractionDigits: d, maximumFractionDigits: d}).replace("-", "−") }
function pct(v, d) { return v == null ? "–" : fixed(100 * v, d) }
function signed(v, d) { return v == null ? "–" : v > 0 ? `+${fixed(v, d)}` : fixed(v, d) }
function whole(v) { return v == null ? "–" : Math.round(v).toLocaleString("en-US") }
function number(v) { return v.toLocaleString("en-US", {maximumFractionDigits: Math.abs(v) >= 100 ? 0 : Math.abs(v) >= 10 ? 1 : 2}).replace("-", "−") }
function short(v) { return v == null ? "–" : v.toLocaleString("en-US", {maximumFractionDigits: 3, useGrouping: false}) }
