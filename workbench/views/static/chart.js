// The part of the candlestick chart that has to be instant: view (zoom, pan, scales), pixel-exact candles, crosshair,
// legend, tags, levels. Bokeh carries the data and the canvases; candles and everything of the live source are painted here
// instead: bodies and wicks are whole pixels, and a tick repaints the figures' overlay layers only, not the figures.
// Nothing set here travels back to the server (`sync: false`), except the messages `window` (more bars needed), `ack` (frames
// painted) and `levels` (drawn by hand).

const MIN_PITCH = 0.02, MAX_PITCH = 60, HOME_PITCH = 7, RIGHT_GAP = 9
const VOLUME_SHARE = 0.15
const ACK_EVERY = 8
const quiet = {sync: false}

export function render({model, view, el}) {
  const chart = new Chart(model, view)
  register(chart)
  model.on("lifecycle:after_layout", () => chart.attach())
  model.on("lifecycle:resize", () => chart.resized())
  model.on("lifecycle:remove", () => chart.remove())
  return chart.root
}

// Tests read what the page holds: window.__workbench.chart().snapshot() and .painted
function register(chart) {
  const hook = (window.__workbench ??= {charts: [], chart: (i = 0) => window.__workbench.charts[i]})
  hook.charts.push(chart)
}

class Chart {
  constructor(model, view) {
    this.model = model
    this.view = view
    this.pitch = HOME_PITCH          // pixels between bars
    this.right = null                // place at the right edge of the frame; null: home when data comes
    this.manual = null               // [low, high] when the price scale was dragged
    this.cursor = null               // {x, y, pane} in pixels
    this.generation = -1
    this.painted = 0                 // frames on screen, for tests and benches
    this.acked = 0
    this.tool = null                 // "level" while a level is being placed
    this.attached = false
    guardLayout(view)
    this.build()
    this.listen()
  }

  // -- page elements -------------------------------------------------------------------------------------------------------

  build() {
    const root = this.root = node("div", "wb-chart")
    this.plots = node("div", "wb-plots", root)
    this.over = node("div", "wb-over", root)
    this.over.tabIndex = -1
    this.crossX = node("div", "wb-cross-x", this.over)
    this.crossY = node("div", "wb-cross-y", this.over)
    this.lines = node("div", "wb-lines", this.over)
    this.lastTag = node("div", "wb-tag wb-last", this.over, "–")
    this.countTag = node("small", "", this.lastTag, "")
    this.tagX = node("div", "wb-tag wb-tag-x", this.over)
    this.tagY = node("div", "wb-tag wb-tag-y", this.over)
    this.tip = node("div", "wb-tip", this.over)
    this.live = node("button", "wb-live", this.over)
    this.live.title = "Go to the newest bar (End)"
    this.live.textContent = "»"
    this.notice = node("div", "wb-notice", this.over)
    this.head = node("div", "wb-head", this.over)
    this.legend = node("div", "wb-legend", this.head)
    this.stale = node("div", "wb-stale", this.head)
    this.notes = node("div", "wb-notes", this.head)
    this.paneLegends = []
    this.place()
    this.colour()
  }

  // Bokeh renders a child when its element was asked for and stands in the page.
  place() {
    const els = [this.model.get_child("price"), ...(this.model.get_child("panes") ?? [])].filter(Boolean)
    this.boxes ??= []
    for (const box of this.boxes) if (!els.includes(box.firstChild)) box.remove()
    this.boxes = els.map((el, i) => {
      const held = this.boxes.find((b) => b.firstChild === el)
      if (held) return held
      const box = node("div", i === 0 ? "wb-plot wb-main" : "wb-plot wb-pane")
      box.append(el)
      return box
    })
    this.boxes.forEach((box, i) => { if (this.plots.children[i] !== box) this.plots.append(box) })
  }

  colour() {
    for (const [name, value] of Object.entries(this.model.colours)) {
      this.root.style.setProperty(`--wb-${name.replaceAll("_", "-")}`, value)
    }
    this.c = this.model.colours
  }

  // The figures' views exist once Bokeh has laid out the component.
  attach() {
    const views = [this.model.price, ...(this.model.panes ?? [])].map((m) => m && this.view.get_child_view(m)).filter((v) => v?.frame)
    if (!views.length || views[0].model !== this.model.price) return
    const fresh = views.filter((v) => !this.views?.includes(v))
    this.views = views
    this.main = views[0]
    if (!this.attached) {
      const renderers = this.main.model.renderers
      this.history = renderers.find((r) => r.name === "history").data_source
      this.forming = renderers.find((r) => r.name === "live").data_source
      this.attached = true
      const changed = () => this.dataChanged()
      this.history.change.connect(changed)
      this.history.streaming.connect(changed)
      this.forming.change.connect(changed)
      this.forming.patching.connect(() => this.ticked())
    }
    for (const v of fresh) this.overpaint(v)
    if (fresh.length) { this.metaChanged(); this.scale(); this.drawLegend() }
  }

  overpaint(v) {
    const xaxis = v.model.below[0], yaxis = v.model.right[0]
    xaxis.ticker.get_ticks = () => ({major: this.ready ? this.timeTicks().map((t) => t.x) : [], minor: []})
    xaxis.formatter.doFormat = (ticks) => {
      const label = new Map(this.timeTicks().map((t) => [t.x, t.label]))
      return ticks.map((x) => label.get(x) ?? "")
    }
    const between = () => this.ready ? this.timeTicks().filter((t) => !(t.isDay && this.hasBreaks)).map((t) => t.x) : []
    for (const grid of v.model.center) {
      if (grid.dimension === 0 && grid.get_ticker) grid.get_ticker = () => ({get_ticks: () => ({major: between(), minor: []})})   // sessions have lines of their own
    }
    const prices = yaxis.ticker.get_ticks.bind(yaxis.ticker)
    yaxis.ticker.get_ticks = (...args) => this.ready ? {...prices(...args), minor: []} : {major: [], minor: []}
    yaxis.formatter.doFormat = v === this.main ? (ticks) => ticks.map((y) => this.price(y)) : evenly
    if (v === this.main) {
      v.renderer_views.get(v.model.renderers.find((r) => r.name === "history"))._paint = (ctx) => this.paint(ctx)
      v.repainted.connect(() => this.afterPaint())
    }
    v.repainted.connect(() => this.wipe(v, 1))
    this.overpaintRenderers(v)
    v.request_paint()
  }

  // What stands on the live source belongs to the overlay layer; Bokeh's own upkeep of it (six glyphs each) is left out.
  overpaintRenderers(v) {
    for (const r of v.model.renderers) {
      const rv = v.renderer_views.get(r)
      if (!rv || rv.wbOwn) continue
      rv.wbOwn = true
      const histogram = v !== this.main && r.glyph.type === "VBar"
      if (r.data_source === this.forming) {
        rv.update_data = () => Promise.resolve()
        rv._paint = r.name === "live" ? (ctx) => this.paintLive(ctx) : histogram ? (ctx) => this.paintHistogram(ctx, v, r) : (ctx) => this.paintSegment(ctx, v, r)
      } else if (histogram) rv._paint = (ctx) => this.paintHistogram(ctx, v, r)
      else if (r.name?.startsWith("vwap")) rv._paint = (ctx) => this.paintSegment(ctx, v, r)
    }
  }

  listen() {
    const m = this.model, page = this.view.model.document
    page?.on_event("connection_lost", () => { this.isAlone = true })
    page?.on_event("client_reconnected", () => { this.isAlone = false })
    m.on("meta", () => this.metaChanged())
    m.on("extent", () => this.ask())
    m.on("colours", () => { this.colour(); for (const v of this.views ?? []) this.wipe(v); this.legendText = null; this.drawLegend(); this.repaint() })
    m.on("levels", () => this.repaint())
    m.on("times", () => this.repaint())
    m.on("markers", () => this.repaint())
    m.on("legend", () => { this.scale(); this.drawLegend() })
    m.on("status", () => { this.drawStatus(); if (this.model.meta.state === "empty") this.drawNotes() })
    m.on("notes", () => this.drawNotes())
    m.on("panes", () => {
      this.place()
      setTimeout(() => this.attach(), 60)
    })
    m.on("msg:custom", (msg) => this.told(msg))
    const o = this.over
    o.addEventListener("wheel", (e) => this.onWheel(e), {passive: false})
    o.addEventListener("pointerdown", (e) => this.onDown(e))
    o.addEventListener("pointermove", (e) => this.onMove(e))
    o.addEventListener("pointerup", (e) => this.onUp(e))
    o.addEventListener("pointerleave", () => { this.cursor = null; this.drawCross(); this.drawLegend() })
    o.addEventListener("dblclick", (e) => this.onDouble(e))
    this.live.addEventListener("click", () => this.home())
    this.live.addEventListener("pointerdown", (e) => e.stopPropagation())
    this.onCommand = (e) => { if ((e.detail.index ?? 0) === window.__workbench.charts.indexOf(this)) this.told(e.detail) }
    window.addEventListener("workbench:chart", this.onCommand)
    this.clock = setInterval(() => this.drawLast(), 250)
    this.calls = setInterval(() => { this.calling ||= requestAnimationFrame(() => this.call()) }, 1000)   // a tab that nobody sees says nothing
  }

  // What was changed while the page connected can be lost on the way: the server compares, and sends all again.
  call() {
    this.calling = 0
    this.attach()          // laid out late: the event for it may have come before the figures' views were there
    const {generation, state} = this.model.meta
    this.say({type: "here", generation, state, n: this.forming?.data.n?.[0] ?? 0, agrees: this.agrees()})
  }

  // Whether both parts tell the same last closed bar, and no place before it is left out: a change can be lost or overtaken on the way.
  agrees() {
    const h = this.history?.data, d = this.forming?.data, last = (h?.x?.length ?? 0) - 1
    if (last < 0 || !d?.x?.length) return true
    for (let i = Math.max(1, last - 64); i <= last; i++) if (h.x[i] - h.x[i - 1] !== (h.k[i] + h.k[i - 1]) / 2) return false
    return h.k[last] !== 1 || h.x[last] !== d.x[0] || ["ts", "o", "h", "l", "c", "v"].every((name) => Object.is(h[name][last], d[name][0]))
  }

  remove() {
    clearInterval(this.clock)
    clearInterval(this.calls)
    cancelAnimationFrame(this.awaited)
    cancelAnimationFrame(this.calling)
    window.removeEventListener("workbench:chart", this.onCommand)
    const hook = window.__workbench
    if (hook) hook.charts = hook.charts.filter((c) => c !== this)
  }

  told(msg) {
    const data = msg?.data ?? msg
    if (data?.do === "png") this.png()
    if (data?.do === "home") this.home()
    if (data?.do === "level") this.pickTool(data.on ? "level" : null)
    if (data?.do === "pan") this.setView(this.right + data.share * this.visible, this.pitch)
    if (data?.do === "zoom") this.zoom(data.factor)
  }

  // -- the view: which bars are on screen ----------------------------------------------------------------------------------

  // A server that is gone is told nothing more; the page of the desk says so.
  say(message) { if (!this.isAlone) this.model.send_msg(message) }

  get frame() { return this.main.frame.bbox }
  get width() { return this.frame.width }
  get visible() { return this.width / this.pitch }
  get start() { return this.main.model.x_range.start }
  get last() { const x = this.forming.data.x; return x?.length ? x[x.length - 1] : -1 }
  sx(x) { return this.frame.left + (x - this.start) * this.pitch }
  sy(y) {
    const {start, end} = this.main.model.y_range, f = this.frame
    return f.bottom - (y - start) / (end - start) * f.height
  }
  yAt(sy) {
    const {start, end} = this.main.model.y_range, f = this.frame
    return start + (f.bottom - sy) / f.height * (end - start)
  }

  home() {
    this.manual = null
    this.setView(this.last + 0.5 + this.gap(), this.pitch)
  }
  gap() { return Math.max(2, Math.min(RIGHT_GAP, this.visible * 0.06)) }

  setView(right, pitch) {
    if (!this.ready) return
    const first = this.model.extent[0]
    pitch = this.possible(pitch)
    const n = this.width / pitch
    right = Math.max(first + Math.min(20, n / 2), Math.min(right, this.last + n * 0.8))
    let start = right - n
    if (pitch >= 1) start = Math.round(start * pitch) / pitch      // bars land on whole pixels
    this.pitch = pitch
    this.right = start + n
    this.main.model.x_range.setv({start, end: start + n}, quiet)
    this.ticks = null
    this.scale()
    this.ask()
    this.live.classList.toggle("on", this.right < this.last + 0.5)
  }

  // The nearest pitch that a chart may have: at the widest all bars and a little air.
  possible(pitch) {
    const widest = this.width / Math.max(250, (this.last - this.model.extent[0] + 1) * 1.15)
    return snapPitch(Math.max(MIN_PITCH, widest, Math.min(MAX_PITCH, pitch)))
  }

  get ready() { return this.attached && this.width > 10 && this.model.meta.state === "ready" }
  get following() { return this.right === null || this.right >= this.seenLast }

  resized() {
    this.attach()
    if (!this.ready) return
    requestAnimationFrame(() => {
      if (this.right === null) this.home()
      else this.setView(this.right, this.pitch)
      this.drawLegend()
    })
  }

  metaChanged() {
    const meta = this.model.meta
    if (!this.attached) return
    if (meta.generation !== this.generation && meta.state !== "loading") {
      this.generation = meta.generation
      this.manual = null
      this.seenLast = this.last
      this.right = null
    }
    this.drawNotes()
    this.drawStatus()
    if (this.ready && this.right === null) this.home()
    this.drawLegend()
    this.repaint()
  }

  dataChanged() {
    if (!this.ready) return this.acknowledge()
    this.ticks = null
    const last = this.last
    if (this.right === null) this.home()
    else if (last !== this.seenLast && this.right >= this.seenLast) this.setView(this.right + last - this.seenLast, this.pitch)
    else { this.scale(); this.ask() }
    this.seenLast = last
  }

  // A tick: only the open bars changed. One frame paints them, and a figure as a whole only when its scale moved with them.
  ticked() {
    this.scale()
    if (!this.awaited) this.awaited = requestAnimationFrame(() => this.paintTick())
  }

  paintTick() {
    this.awaited = 0
    if (!this.ready) return this.acknowledge()
    const grown = this.liveVolume() > this.mostVolume
    let mainDone = false
    for (const v of this.views) {
      this.overpaintRenderers(v)
      if (v._invalidate_all || v._invalidated_painters.size || (grown && v === this.main)) {
        v.invalidate_painters()
        v.repaint()
        mainDone ||= v === this.main
        continue
      }
      const layer = v.canvas_view.overlays
      v._paint_overlays(layer.prepare())
      layer.finish()
    }
    if (!mainDone) this.afterPaint()
  }

  // Scale the price axis to the bars on screen, and the oscillators' to their lines.
  scale() {
    if (!this.ready) return
    this.scalePrice()
    this.views.slice(1).forEach((v, i) => this.scalePane(v, this.model.legend.filter((l) => l.pane === i)))
  }

  scalePane(v, lines) {
    if (!lines.length) return
    let low = Math.min(...lines[0].guides), high = Math.max(...lines[0].guides)
    for (const d of [this.history.data, this.forming.data]) {
      if (!d.x) continue
      for (let i = lower(d.x, this.start - 0.5); i < d.x.length && d.x[i] <= this.right + 0.5; i++) {
        for (const {column} of lines) {
          const y = d[column]?.[i]
          if (y < low) low = y
          if (y > high) high = y
        }
      }
    }
    if (!(high > low)) return
    const pad = (high - low) * 0.1
    v.model.y_range.setv({start: low - pad, end: high + pad}, quiet)
  }

  scalePrice() {
    const range = this.main.model.y_range
    if (this.manual) {
      range.setv({start: this.manual[0], end: this.manual[1]}, quiet)
      return
    }
    const a = this.start - 0.5, b = this.right + 0.5
    let low = Infinity, high = -Infinity
    for (const {x, h, l} of [this.history.data, this.forming.data]) {
      if (!x) continue
      for (let i = lower(x, a); i < x.length && x[i] <= b; i++) {
        if (l[i] < low) low = l[i]
        if (h[i] > high) high = h[i]
      }
    }
    if (!(high >= low)) return
    const least = Math.max(high * 2e-4, 4 * 10 ** -this.model.meta.decimals)
    const span = Math.max(high - low, least), mid = (high + low) / 2
    const top = mid + span / 2, bottom = mid - span / 2
    // volume stands in the lowest 15 %; candles end a little above it
    range.setv({start: bottom - span * (VOLUME_SHARE + 0.05) / 0.72, end: top + span * 0.08 / 0.72}, quiet)
  }

  // Ask for bars that the view needs and the page does not hold.
  ask() {
    if (!this.ready) return
    const k = thinning(this.pitch)
    const x = this.history.data.x, n = this.visible
    const first = x?.length ? x[0] : 0, end = x?.length ? x[x.length - 1] : -1
    const heldK = this.heldK()
    const oldest = this.model.extent[0]
    const wantLeft = Math.max(oldest, this.start - n * 0.25), wantRight = Math.min(this.last - 1, this.right + n * 0.25)
    const missing = first - heldK > wantLeft || end + heldK < wantRight - 1 || heldK !== k
    const hungry = this.model.extent[1] && this.start < oldest + 50 * k
    if (!missing && !hungry) return
    const margin = Math.max(200 * k, n * 0.75)
    const start = Math.floor((this.start - margin) / k) * k, stop = Math.ceil((this.right + margin) / k) * k
    const key = [this.generation, start, stop, k, oldest].join(), now = performance.now()
    if (key === this.askedKey && now - this.askedAt < 300) return      // an answer to an earlier question may come in between
    this.askedKey = key
    this.askedAt = now
    clearTimeout(this.asking)
    this.asking = setTimeout(() => this.say({type: "window", generation: this.generation, start, end: stop, k}), missing ? 0 : 60)
  }
  heldK() {
    const k = this.history.data.k
    let most = 1
    for (let i = 0; k && i < Math.min(k.length, 4); i++) most = Math.max(most, k[i])
    return most
  }

  // -- painting ------------------------------------------------------------------------------------------------------------

  // Bokeh, half a pixel off, never clears the first row and column: they would keep the old paper, and a line of an old scale.
  wipe(v, thickness) {
    for (const {ctx, canvas} of [v.canvas_view.primary, v.canvas_view.overlays]) {
      ctx.save()
      ctx.setTransform(1, 0, 0, 1, 0, 0)
      ctx.clearRect(0, 0, canvas.width, thickness ?? canvas.height)
      ctx.clearRect(0, 0, thickness ?? canvas.width, canvas.height)
      ctx.restore()
    }
  }

  repaint() { if (this.attached) for (const v of this.views) v.request_paint() }

  paint(ctx) {
    if (!this.ready) return
    ctx.save()
    ctx.translate(-0.5, -0.5)          // Bokeh shifts by half a pixel; whole pixels from here on
    const f = this.frame
    if (this.model.meta.is_intraday) this.paintSessions(ctx, f)
    this.measureVolume(f)
    this.paintVolume(ctx, f, this.history.data)
    this.paintCandles(ctx, f, this.history.data)
    this.paintTimes(ctx, f)
    this.paintMarkers(ctx, f)
    this.paintLevels(ctx, f)
    ctx.restore()
  }

  // On the overlay layer: the open bars and the line at the last price.
  paintLive(ctx) {
    const d = this.forming.data
    if (!this.ready || !d.x?.length) return
    this.clipped(ctx, this.main, (f) => {
      this.paintVolume(ctx, f, d)
      this.paintCandles(ctx, f, d)
      const y = Math.round(this.sy(d.c[d.x.length - 1]))
      if (y >= f.top && y <= f.bottom) dashed(ctx, f.left, f.right, y, this.lastColour(), [1, 2])
    })
  }

  // A study's line from the last closed bar through the open ones.
  paintSegment(ctx, v, r) {
    const d = r.data_source.data, ys = d[r.name], ofSession = r.name.startsWith("vwap")   // a session's line never joins the next one's
    if (!this.ready || !ys || d.x.length < 2) return
    this.clipped(ctx, v, (f) => {
      const {start, end} = v.model.y_range, {line_color, line_width, line_alpha} = r.glyph
      ctx.strokeStyle = line_color.value
      ctx.lineWidth = line_width.value
      ctx.globalAlpha = line_alpha.value
      ctx.lineJoin = "round"
      ctx.beginPath()
      let drawn = false
      for (let i = Math.max(0, lower(d.x, this.start) - 1); i < d.x.length && d.x[i] <= this.right + 1; i++) {
        if (ofSession && i && d.day[i] !== d.day[i - 1]) drawn = false
        if (!Number.isFinite(ys[i])) { drawn = false; continue }
        const x = this.sx(d.x[i]) + 0.5, y = f.bottom + 0.5 - (ys[i] - start) / (end - start) * f.height
        if (drawn) ctx.lineTo(x, y)
        else ctx.moveTo(x, y)
        drawn = true
      }
      ctx.stroke()
    })
  }

  // Draw in whole pixels inside the frame, but not on the canvas' first row and column: Bokeh, half a pixel off, never clears those.
  clipped(ctx, v, draw) {
    const f = v.frame.bbox
    ctx.save()
    ctx.translate(-0.5, -0.5)
    ctx.beginPath()
    ctx.rect(f.left + 1, f.top + 1, f.width - 1, f.height - 1)
    ctx.clip()
    draw(f)
    ctx.restore()
  }

  each(d, f, draw) {
    const a = this.start - (d.k?.[0] ?? 1) - 1, b = this.right + 1
    const from = d === this.forming.data && this.heldEnd() >= d.x[0] ? 1 : 0   // the first live row is the last closed bar
    for (let i = Math.max(from, lower(d.x, a)); i < d.x.length && d.x[i] <= b; i++) draw(i)
  }
  heldEnd() { const {x, k} = this.history.data; return x?.length ? x[x.length - 1] + (k[k.length - 1] - 1) / 2 : -Infinity }

  paintSessions(ctx, f) {
    const marks = []
    for (const d of [this.history.data, this.forming.data]) {
      if (!d.x?.length) continue
      this.each(d, f, (i) => marks.push([d.x[i] - d.k[i] / 2, d.x[i] + d.k[i] / 2, d.seg[i], d.day[i]]))
    }
    const edges = marks.filter((m, i) => i && m[3] !== marks[i - 1][3])
    const dayWidth = edges.length > 1 ? (edges.at(-1)[0] - edges[0][0]) / (edges.length - 1) * this.pitch : Infinity
    this.hasBreaks = dayWidth >= 48
    if (dayWidth < 24) return          // zoomed out so far that shading would be a barcode
    ctx.fillStyle = this.c.shade
    let run = null
    const flush = () => { if (run) { const a = Math.round(this.sx(run[0])), b = Math.round(this.sx(run[1])); ctx.fillRect(a, f.top, b - a, f.height) } run = null }
    for (const [a, b, seg] of marks) {
      if (seg === 2) flush()
      else if (run) run[1] = b
      else run = [a, b]
    }
    flush()
    ctx.fillStyle = this.c.break
    if (this.hasBreaks) for (const edge of edges) ctx.fillRect(Math.round(this.sx(edge[0])), f.top, 1, f.height)
  }

  body(k) {
    let w = Math.floor(this.pitch * k * 0.8)
    if (this.pitch * k >= 3) w = Math.min(w, Math.floor(this.pitch * k) - 1)
    w = Math.max(1, w)
    return w > 1 && w % 2 === 0 ? w - 1 : w
  }

  // The tallest volume bar on screen; when an open bar outgrows it, the figure is painted anew.
  measureVolume(f) {
    let most = this.liveVolume()
    const d = this.history.data
    if (d.x?.length) this.each(d, f, (i) => { most = Math.max(most, d.v[i] / d.k[i]) })
    this.mostVolume = most
  }
  liveVolume() {
    let most = 0
    const d = this.forming.data
    if (d.x?.length) this.each(d, this.frame, (i) => { most = Math.max(most, d.v[i] / d.k[i]) })
    return most
  }

  paintVolume(ctx, f, d) {
    const most = this.mostVolume
    if (!most || !d.x?.length) return
    const height = f.height * VOLUME_SHARE
    ctx.globalAlpha = 0.34
    for (const up of [true, false]) {
      ctx.fillStyle = up ? this.c.up : this.c.down
      this.each(d, f, (i) => {
        if ((d.c[i] >= d.o[i]) !== up || !d.v[i]) return
        const w = this.body(d.k[i]), h = Math.max(1, Math.round(d.v[i] / d.k[i] / most * height))
        ctx.fillRect(Math.round(this.sx(d.x[i])) - (w >> 1), f.bottom - h, w, h)
      })
    }
    ctx.globalAlpha = 1
  }

  paintCandles(ctx, f, d) {
    if (!d.x?.length) return
    const {start, end} = this.main.model.y_range, perUnit = f.height / (end - start)
    const sy = (y) => Math.round(f.bottom - (y - start) * perUnit)
    const stale = this.isStale
    for (const up of [true, false]) {
      ctx.fillStyle = up ? this.c.up : this.c.down
      if (stale) ctx.globalAlpha = 0.55
      this.each(d, f, (i) => {
        if ((d.c[i] >= d.o[i]) !== up) return
        const w = this.body(d.k[i]), cx = Math.round(this.sx(d.x[i]))
        const high = sy(d.h[i]), low = sy(d.l[i])
        if (w === 1) { ctx.fillRect(cx, high, 1, Math.max(1, low - high)); return }
        const a = sy(Math.max(d.o[i], d.c[i])), b = Math.max(a + 1, sy(Math.min(d.o[i], d.c[i])))
        ctx.fillRect(cx - (w >> 1), a, w, b - a)
        if (high < a) ctx.fillRect(cx, high, 1, a - high)
        if (low > b) ctx.fillRect(cx, b, 1, low - b)
      })
      ctx.globalAlpha = 1
    }
  }

  paintHistogram(ctx, v, r) {
    if (!this.ready) return
    const d = r.data_source.data, column = r.name, {start, end} = v.model.y_range
    if (!d.x?.length || !d[column]) return
    this.clipped(ctx, v, (f) => {
      const sy = (y) => Math.round(f.bottom - (y - start) / (end - start) * f.height)
      ctx.globalAlpha = 0.6
      this.each(d, f, (i) => {
        const y = d[column][i]
        if (!(Math.abs(y) >= 0)) return
        const w = this.body(d.k[i]), a = sy(Math.max(0, y)), b = sy(Math.min(0, y))
        ctx.fillStyle = y >= 0 ? this.c.up : this.c.down
        ctx.fillRect(Math.round(this.sx(d.x[i])) - (w >> 1), a, w, Math.max(1, b - a))
      })
    })
  }

  paintLevels(ctx, f) {
    const placed = this.placedLevels(f)
    for (const {level, y} of placed) dashed(ctx, f.left, f.right, Math.round(y), this.c[level.colour] ?? level.colour, level.is_own ? [] : [5, 4])
    ctx.font = "11px system-ui, sans-serif"
    ctx.textAlign = "right"
    ctx.textBaseline = "middle"
    for (const {level, at} of placed) {
      if (!level.label) continue
      const width = ctx.measureText(level.label).width
      ctx.globalAlpha = 0.85
      ctx.fillStyle = this.c.background
      ctx.fillRect(f.right - width - 10, at - 8, width + 10, 16)
      ctx.globalAlpha = 1
      ctx.fillStyle = level.colour === "band" ? this.c.muted : this.c[level.colour] ?? level.colour   // as text the band's tone is too faint
      ctx.fillText(level.label, f.right - 5, at + 0.5)
    }
    ctx.textBaseline = "alphabetic"
  }

  // The levels in view with the height of their tags: apart from each other, and clear of the tag of the last price.
  placedLevels(f) {
    const placed = this.shownLevels().map((level) => ({level, y: this.sy(level.price)})).filter(({y}) => y >= f.top && y <= f.bottom)
    placed.sort((a, b) => a.y - b.y)
    const last = this.lastAt(f), isUnder = ({y}) => last == null || y >= last
    const over = placed.filter((p) => !isUnder(p)), under = placed.filter(isUnder)
    apart(over, f.top + 8, last - 18)
    apart(under, last == null ? f.top + 8 : last + (this.lastTag.classList.contains("two") ? 30 : 18), f.bottom - 8)
    return placed
  }
  lastAt(f) {
    const d = this.forming.data, n = d.x?.length
    return n ? Math.max(f.top + 8, Math.min(f.bottom - 8, this.sy(d.c[n - 1]))) : null
  }

  lastColour() {
    const d = this.forming.data, i = d.x.length - 1
    return this.isStale ? this.c.stale : d.c[i] >= d.o[i] ? this.c.up : this.c.down
  }
  get isStale() { return ["STALE", "REFUSED"].includes(this.model.status.mode) }

  paintTimes(ctx, f) {
    for (const {ts, label, colour} of this.model.times) {
      const x = Math.round(this.sx(this.placeOf(ts)))
      if (!(x >= f.left && x <= f.right)) continue
      ctx.fillStyle = this.c[colour] ?? colour
      ctx.globalAlpha = 0.7
      ctx.fillRect(x, f.top, 1, f.height)
      ctx.globalAlpha = 1
      ctx.font = "11px system-ui, sans-serif"
      ctx.textAlign = "left"
      if (label) ctx.fillText(label, x + 4, f.top + 44)
    }
  }

  // Arrows below buys and above sells, clear of the candle.
  paintMarkers(ctx, f) {
    this.hot = []
    for (const m of this.model.markers) {
      const at = this.barAt(m.ts)
      if (!at) continue
      const x = Math.round(this.sx(at.x)), buy = m.side === "buy"
      if (x < f.left - 6 || x > f.right + 6) continue
      const y = Math.round(this.sy(buy ? at.l : at.h)) + (buy ? 8 : -8), s = buy ? 1 : -1
      ctx.fillStyle = buy ? this.c.up : this.c.down
      ctx.beginPath()
      ctx.moveTo(x + 0.5, y)
      ctx.lineTo(x + 5.5, y + 7 * s)
      ctx.lineTo(x + 2, y + 7 * s)
      ctx.lineTo(x + 2, y + 12 * s)
      ctx.lineTo(x - 1, y + 12 * s)
      ctx.lineTo(x - 1, y + 7 * s)
      ctx.lineTo(x - 4.5, y + 7 * s)
      ctx.fill()
      const py = this.sy(m.price)
      ctx.fillRect(x - 5, Math.round(py), 4, 1)
      this.hot.push({x, y: y + 6 * s, m})
    }
  }

  shownLevels() {
    return this.drag?.level ? this.model.levels.map((l) => l.id === this.drag.level.id ? this.drag.level : l) : this.model.levels
  }

  afterPaint() {
    this.painted++
    if (!this.ready) return
    this.drawLast()
    this.drawLevels()
    this.drawCross()
    if (!this.cursor) this.drawLegend()
    this.acknowledge()
  }

  // Without it the server sends no more after some frames: a sleeping tab paints none.
  acknowledge() {
    const n = this.forming.data.n?.[0] ?? 0
    if (n - this.acked >= ACK_EVERY) {          // a chart without bars holds no frame; that takes no earlier word back
      this.acked = n
      this.say({type: "ack", n})
    }
  }

  // -- axis of times -------------------------------------------------------------------------------------------------------

  // Labels where the clock turns over: years before months before days before hours; never closer than they are wide.
  timeTicks() {
    const key = `${this.start}|${this.right}|${this.width}|${this.history.data.x?.length}|${this.last}`
    if (this.ticks?.key === key) return this.ticks.list
    const marks = []
    let before = null
    for (const d of [this.history.data, this.forming.data]) {
      if (!d.x?.length) continue
      const edge = d === this.forming.data && this.heldEnd() >= d.x[0] ? 1 : 0
      for (let i = Math.max(edge, lower(d.x, this.start) - 1); i < d.x.length && d.x[i] <= this.right; i++) {
        const now = d.ny[i]
        if (before !== null && d.x[i] >= this.start) marks.push({x: d.x[i], ny: now, weight: weightOf(before, now, this.model.meta.is_intraday)})
        before = now
      }
    }
    const list = []
    const room = 66 / this.pitch, wide = 82 / this.pitch
    for (let weight = 9; weight >= 0; weight--) {
      for (const mark of marks) {
        if (mark.weight !== weight) continue
        const at = lower(list, mark.x, (t) => t.x)
        const label = labelOf(mark, this.model.meta.is_intraday), long = label.length > 6
        const fits = (other) => !other || Math.abs(other.x - mark.x) >= (long || other.label.length > 6 ? wide : room)
        if (fits(list[at - 1]) && fits(list[at])) list.splice(at, 0, {x: mark.x, label, isDay: mark.weight >= 7 && this.model.meta.is_intraday})
      }
    }
    this.ticks = {key, list}
    return list
  }

  placeOf(ts) {
    for (const d of [this.forming.data, this.history.data]) {
      if (!d.ts?.length || ts < d.ts[0]) continue
      return d.x[lower(d.ts, ts + 1e-9) - 1]
    }
    return NaN
  }
  barAt(ts) {
    for (const d of [this.forming.data, this.history.data]) {
      if (!d.ts?.length || ts < d.ts[0]) continue
      const i = lower(d.ts, ts + 1e-9) - 1
      return {x: d.x[i], h: d.h[i], l: d.l[i]}
    }
    return null
  }

  // -- what lies over the canvas -------------------------------------------------------------------------------------------

  price(y) { return y.toFixed(this.model.meta.decimals ?? 2) }

  drawLast() {
    if (!this.ready || !this.forming.data.x?.length) { this.lastTag.style.display = "none"; return }
    const d = this.forming.data, i = d.x.length - 1, f = this.frame
    const y = this.lastAt(f)
    const count = this.countdown(), tag = this.lastTag, price = tag.firstChild, text = this.price(d.c[i])
    if (price.nodeValue !== text) price.nodeValue = text
    if (this.countTag.textContent !== count) { this.countTag.textContent = count; tag.classList.toggle("two", !!count) }
    const place = `left: ${f.right + 1}px; top: ${y.toFixed(1)}px; background: ${this.lastColour()}`
    if (place !== this.lastPlace || tag.style.display) tag.style.cssText = this.lastPlace = place
  }

  // Time until the newest bar closes, on the market's own clock.
  countdown() {
    const d = this.forming.data, i = d.x.length - 1, meta = this.model.meta
    const now = d.now?.[i]
    if (now !== this.clockAt?.now) this.clockAt = {now, at: performance.now()}
    const speed = this.model.status.speed ?? 1
    const drift = Math.min(3, (performance.now() - this.clockAt.at) / 1000) * speed
    const left = Math.ceil(d.te[i] - now - drift)
    if (!(d.x.length > 1) || left < 0 || !meta.is_intraday) return ""
    const h = Math.floor(left / 3600), m = Math.floor(left / 60) % 60, s = left % 60
    return h ? `${h}:${two(m)}:${two(s)}` : `${two(m)}:${two(s)}`
  }

  drawLevels() {
    const f = this.frame
    const wanted = this.shownLevels(), places = new Map(this.placedLevels(f).map((p) => [p.level, p]))
    while (this.lines.children.length < wanted.length) {
      const line = node("div", "wb-level", this.lines)
      node("span", "wb-tag", line)
      const close = node("button", "", line, "×")
      close.title = "Delete this level"
      close.addEventListener("pointerdown", (e) => { e.stopPropagation(); this.saveLevels(this.model.levels.filter((l) => l.id !== line.dataset.id)) })
    }
    while (this.lines.children.length > wanted.length) this.lines.lastChild.remove()
    wanted.forEach((level, i) => {
      const line = this.lines.children[i], place = places.get(level)
      line.dataset.id = level.id
      line.classList.toggle("own", !!level.is_own)
      Object.assign(line.style, {display: place ? "" : "none", top: `${Math.round(place?.y ?? 0)}px`, left: `${f.left}px`, width: `${f.width}px`})
      const tag = line.firstChild
      tag.textContent = this.price(level.price)
      tag.style.top = place ? `${Math.round(place.at - place.y)}px` : ""
      tag.style.background = this.c[level.colour] ?? level.colour
      tag.style.color = isBright(tag.style.background) ? this.c.on_warning : ""
    })
  }

  drawCross() {
    const c = this.cursor, show = c && this.ready
    for (const part of [this.crossX, this.crossY, this.tagX, this.tagY]) part.style.display = show ? "block" : "none"
    if (!show) return
    const f = this.frame, bar = Math.round(this.start + (c.x - f.left) / this.pitch)
    const x = Math.round(this.sx(bar)), y = Math.round(c.y)
    const inside = c.y >= f.top && c.y <= f.bottom
    const pane = inside ? null : this.paneAt(c.y)
    Object.assign(this.crossX.style, {left: `${x}px`, height: `${this.root.clientHeight - 24}px`})
    Object.assign(this.crossY.style, {top: `${y}px`, left: `${f.left}px`, width: `${f.width}px`})
    if (inside) {
      this.tagY.textContent = this.price(this.yAt(c.y))
      Object.assign(this.tagY.style, {top: `${y}px`, left: `${f.right + 1}px`})
    } else if (pane) {
      const {start, end} = pane.v.model.y_range, pf = pane.v.frame.bbox
      this.tagY.textContent = value(start + (pane.top + pf.bottom - c.y) / pf.height * (end - start))
      Object.assign(this.tagY.style, {top: `${y}px`, left: `${f.right + 1}px`})
    } else this.tagY.style.display = "none"
    const found = this.find(bar)
    if (found) {
      this.tagX.textContent = stamp(found.d.ny[found.i], this.model.meta.is_intraday)
      const half = this.tagX.offsetWidth / 2
      this.tagX.style.left = `${Math.max(f.left + half, Math.min(f.right - half, x))}px`
    } else this.tagX.style.display = "none"
  }

  paneAt(y) {
    for (let i = 1; i < this.views.length; i++) {
      const box = this.boxes[i], top = box?.offsetTop ?? 0
      if (box && y >= top && y <= top + box.offsetHeight) return {v: this.views[i], top, index: i - 1}
    }
    return null
  }

  find(bar) {
    for (const d of [this.forming.data, this.history.data]) {
      if (!d.x?.length || bar < d.x[0] - d.k[0] / 2) continue
      const i = Math.min(d.x.length - 1, Math.max(0, lower(d.x, bar + 0.5) - 1))
      if (d === this.forming.data && i === 0 && this.heldEnd() >= d.x[0] && bar < d.x[0]) continue
      return Math.abs(d.x[i] - bar) <= Math.max(1, d.k[i]) ? {d, i} : null
    }
    return null
  }

  drawLegend() {
    const meta = this.model.meta
    if (!this.attached) return
    const f = this.frame
    const bar = this.cursor ? Math.round(this.start + (this.cursor.x - f.left) / this.pitch) : this.last
    const found = meta.state === "ready" ? this.find(Math.min(bar, this.last)) : null
    const head = `<b>${escape(meta.label ?? "")}</b><span class="q">${escape(meta.timeframe ?? "")} · ${escape(meta.source ?? "")}</span>`
    let text = head
    if (found) {
      const {d, i} = found, p = (v) => this.price(v)
      const before = this.closeBefore(found), change = d.c[i] - before, up = change >= 0
      const tone = up ? "up" : "down"
      text += ["o", "h", "l", "c"].map((n) => `<span class="p"><i>${n.toUpperCase()}</i> <em class="${tone}">${p(d[n][i])}</em></span>`).join("")
      text += `<em class="p ${tone}">${up ? "▲" : "▼"} ${sign(change)}${p(Math.abs(change))} (${sign(change)}${(Math.abs(change) / before * 100).toFixed(2)}%)</em>`
      text += `<span class="p"><i>Vol</i> <em class="v">${short(d.v[i])}</em></span>`
      if (this.model.status.is_reading) text += '<span class="q">reading history …</span>'
      const over = this.model.legend.filter((s) => s.pane < 0 && s.label && (meta.is_intraday || s.column !== "vwap"))
      if (over.length) text += `<br>${this.named(over, found, p)}`
    }
    this.drawPaneLegends(found)
    if (text !== this.legendText) { rewrite(this.legend, text); this.legendText = text }
  }
  named(lines, {d, i}, format) {
    return lines.map((s) => {
      const v = d[s.column]?.[i]
      return `<span class="p st" style="color:${this.c[s.colour] ?? s.colour}">${escape(s.label)} ${v == null || Number.isNaN(v) ? "–" : format(v)}</span>`
    }).join("")
  }
  drawPaneLegends(found) {
    const n = this.views.length - 1
    while (this.paneLegends.length < n) this.paneLegends.push(node("div", "wb-legend", this.over))
    this.paneLegends.forEach((el, i) => {
      const box = this.boxes[i + 1]
      el.style.display = i < n && box ? "" : "none"
      if (i >= n || !box) return
      el.style.top = `${box.offsetTop + 2}px`
      const text = found ? this.named(this.model.legend.filter((l) => l.pane === i), found, value) : ""
      if (el.held !== text) { el.innerHTML = text; el.held = text }
    })
  }
  closeBefore({d, i}) {
    if (i > 0) return d.c[i - 1]
    const h = this.history.data
    if (d === this.forming.data && h.x?.length) { const at = lower(h.x, d.x[0]) - 1; if (at >= 0) return h.c[at] }
    return d.o[i]
  }

  // In an empty chart the middle says why; over bars the notes stand below the legend.
  drawNotes() {
    const {state, label, timeframe, message} = this.model.meta, {mode, reason} = this.model.status, isEmpty = state === "empty"
    const why = isEmpty && reason && ["STARTING", "STALE", "REFUSED", "DEGRADED"].includes(mode) ? [`${reason[0].toUpperCase()}${reason.slice(1)}.`] : []
    const notes = [...why, ...this.model.notes]
    const text = state === "ready" ? "" : isEmpty ? [`No bars of ${label} at ${timeframe} yet.`, ...notes].join("\n") : message
    this.notice.className = `wb-notice wb-${state}${isEmpty && notes.length ? " wb-warned" : ""}`
    this.notice.replaceChildren(node("span", "", null, text))
    this.notes.replaceChildren(...(state === "ready" ? notes : []).map((note) => node("div", "", null, note)))
  }

  drawStatus() {
    const {mode, age_s, reason} = this.model.status
    const dead = ["STALE", "REFUSED", "DEGRADED"].includes(mode)
    this.root.classList.toggle("wb-is-stale", ["STALE", "REFUSED"].includes(mode))
    this.stale.style.display = dead ? "" : "none"
    if (dead) this.stale.textContent = `${mode}${age_s == null ? "" : ` · last data ${age(age_s)} ago`}${reason ? ` · ${reason}` : ""}`
    if (dead !== this.wasDead) this.repaint()
    this.wasDead = dead
  }

  // -- mouse ---------------------------------------------------------------------------------------------------------------

  at(e) {
    const box = this.over.getBoundingClientRect()
    return {x: e.clientX - box.left, y: e.clientY - box.top}
  }
  zone(p) {
    const f = this.frame
    if (p.x > f.right) return "price"
    if (p.y > this.root.clientHeight - 26) return "time"
    return "plot"
  }

  onWheel(e) {
    if (!this.ready) return
    e.preventDefault()
    const step = e.deltaMode === 1 ? e.deltaY * 30 : e.deltaY
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) return this.setView(this.right + (e.deltaX || step) / this.pitch, this.pitch)
    if (this.zone(this.at(e)) === "price") return this.scaleBy(Math.exp(step / 500))
    this.zoom(Math.exp(-step / 400))
  }

  // The right edge stays where it is.
  zoom(factor) {
    let pitch = this.pitch * factor
    if (this.pitch >= 3 && snapPitch(pitch) === this.pitch) pitch = this.pitch + (factor > 1 ? 1 : -1)
    const keep = this.following ? this.last + 0.5 + (this.right - this.last - 0.5) * this.pitch / this.possible(pitch) : this.right
    this.setView(keep, pitch)
  }

  scaleBy(factor) {
    const {start, end} = this.main.model.y_range, mid = (start + end) / 2, half = (end - start) / 2 * factor
    this.manual = [mid - half, mid + half]
    this.scale()
  }

  onDown(e) {
    if (!this.ready || e.button !== 0) return
    const p = this.at(e), zone = this.zone(p)
    this.over.setPointerCapture(e.pointerId)
    const {start, end} = this.main.model.y_range
    const level = zone === "plot" && this.nearLevel(p)
    this.drag = {zone, p, right: this.right, pitch: this.pitch, y: [start, end], moved: false, level: level ? {...level} : null}
  }

  onMove(e) {
    if (!this.attached) return
    const p = this.at(e)
    this.cursor = this.zone(p) === "plot" ? p : null
    if (this.drag) this.dragTo(p)
    else this.over.style.cursor = this.tool ? "copy" : {price: "ns-resize", time: "ew-resize"}[this.zone(p)] ?? (this.nearLevel(p) ? "ns-resize" : "crosshair")
    const near = this.nearLevel(p)
    for (const line of this.lines.children) line.classList.toggle("near", line.dataset.id === near?.id)
    this.drawTip(p)
    this.drawCross()
    this.drawLegend()
  }

  dragTo(p) {
    const d = this.drag, dx = p.x - d.p.x, dy = p.y - d.p.y
    if (!d.moved && Math.hypot(dx, dy) < 3) return
    d.moved = true
    const [low, high] = d.y
    if (d.level) { d.level.price = round(this.yAt(p.y), this.model.meta.decimals); this.main.request_paint(); return }
    if (d.zone === "price") {
      const mid = (low + high) / 2, half = (high - low) / 2 * Math.exp(dy / 200)
      this.manual = [mid - half, mid + half]
      return this.scale()
    }
    if (d.zone === "time") return this.setView(d.right, d.pitch * Math.exp(dx / 300))
    if (this.manual) {
      const shift = dy / this.frame.height * (high - low)
      this.manual = [low + shift, high + shift]
    }
    this.setView(d.right - dx / this.pitch, d.pitch)
  }

  onUp(e) {
    const d = this.drag
    this.drag = null
    if (!d) return
    if (d.level && d.moved) this.saveLevels(this.model.levels.map((l) => l.id === d.level.id ? d.level : l))
    else if (!d.moved && this.tool === "level" && d.zone === "plot") this.addLevel(this.yAt(d.p.y))
  }

  onDouble(e) {
    const zone = this.zone(this.at(e))
    if (zone === "price") { this.manual = null; this.scale() }
    else if (zone === "time") { this.pitch = HOME_PITCH; this.home() }
    else this.home()
  }

  nearLevel(p) {
    return this.model.levels.find((l) => l.is_own && Math.abs(this.sy(l.price) - p.y) < 5)
  }
  pickTool(tool) {
    this.tool = tool
    this.root.classList.toggle("wb-drawing", !!tool)
  }
  addLevel(price) {
    const level = {id: `h${Date.now().toString(36)}`, price: round(price, this.model.meta.decimals), label: "", colour: "accent", is_own: true}
    this.pickTool(null)
    this.saveLevels([...this.model.levels, level])
  }
  saveLevels(levels) {
    this.say({type: "levels", levels})
  }

  drawTip(p) {
    const near = this.hot?.find((h) => Math.hypot(h.x - p.x, h.y - p.y) < 10)
    this.tip.style.display = near ? "block" : "none"
    if (!near) return
    const {m} = near
    this.tip.textContent = `${m.side === "buy" ? "Buy" : "Sell"} ${m.qty ?? ""} @ ${this.price(m.price)}${m.text ? ` · ${m.text}` : ""}`
    Object.assign(this.tip.style, {left: `${p.x + 12}px`, top: `${p.y + 12}px`})
  }

  // -- leaving as a picture ------------------------------------------------------------------------------------------------

  picture() {
    const box = this.root.getBoundingClientRect(), ratio = window.devicePixelRatio || 1
    const canvas = document.createElement("canvas")
    canvas.width = Math.round(box.width * ratio)
    canvas.height = Math.round(box.height * ratio)
    const ctx = canvas.getContext("2d")
    ctx.fillStyle = this.c.background
    ctx.fillRect(0, 0, canvas.width, canvas.height)
    for (const v of this.views) {
      const at = v.el.getBoundingClientRect()
      ctx.drawImage(v.export("png").canvas, (at.left - box.left) * ratio, (at.top - box.top) * ratio)
    }
    ctx.scale(ratio, ratio)
    this.pictureTexts(ctx, box)
    return canvas
  }
  pictureTexts(ctx, box) {
    ctx.textBaseline = "middle"
    for (const tag of [this.lastTag, ...this.lines.querySelectorAll(".wb-tag")]) {
      const at = tag.getBoundingClientRect()
      if (!at.width) continue
      ctx.fillStyle = tag.style.background
      ctx.fillRect(at.left - box.left, at.top - box.top, at.width, at.height)
      ctx.fillStyle = tag.style.color || this.c.tag_text
      ctx.font = "11px system-ui, sans-serif"
      ctx.fillText(tag.firstChild?.textContent ?? "", at.left - box.left + 5, at.top - box.top + 9)
    }
    ctx.fillStyle = this.c.text
    ctx.font = "12px system-ui, sans-serif"
    const lines = [[]], room = this.frame.right - 14
    for (const part of this.legend.childNodes) {
      if (part.nodeName === "BR") { lines.push([]); continue }
      if (lines.at(-1).length && ctx.measureText([...lines.at(-1), part.textContent].join("  ")).width > room) lines.push([])
      lines.at(-1).push(part.textContent)
    }
    for (const said of [this.stale, ...this.notes.children]) if (said.textContent && said.style.display !== "none") lines.push([said.textContent])
    lines.forEach((line, i) => ctx.fillText(line.join("  "), 10, 14 + 18 * i))
  }
  png() {
    const link = document.createElement("a"), meta = this.model.meta
    link.download = `${meta.symbol.replaceAll(":", "_")}_${meta.timeframe}_${stamp(this.forming.data.ny?.at(-1) ?? 0, true).replaceAll(/[ :]/g, "-")}.png`
    link.href = this.picture().toDataURL("image/png")
    link.click()
  }

  // -- for tests -----------------------------------------------------------------------------------------------------------

  snapshot() {
    const pick = (d) => Object.fromEntries(["x", "k", "ts", "o", "h", "l", "c", "v"].map((n) => [n, Array.from(d[n] ?? [])]))
    const {generation, symbol, timeframe, state} = this.model.meta
    return {generation, symbol, timeframe, state, count: this.forming.data.count?.[0] ?? 0, extent: this.model.extent, history: pick(this.history.data), live: pick(this.forming.data),
            view: [this.start, this.right, this.pitch], painted: this.painted}
  }
}

// -- small things ----------------------------------------------------------------------------------------------------------

function isBright(rgb) {              // 'rgb(224, 123, 209)', as a style tells it: whether dark letters are read better on it
  const [r, g, b] = rgb.match(/\d+/g)?.map(Number) ?? [0, 0, 0]
  return 0.299 * r + 0.587 * g + 0.114 * b > 150
}

// Heights `at` between two ends for tags wanted at `y`, ascending: as near as can be to where they belong, none over another.
function apart(tags, top, bottom) {
  const gap = 18
  for (const tag of tags) tag.at = Math.min(Math.max(tag.y, top), bottom)
  for (let round = 0; round < 12; round++) {
    for (let i = 1; i < tags.length; i++) {
      const lack = gap - (tags[i].at - tags[i - 1].at)
      if (lack > 0) { tags[i - 1].at -= lack / 2; tags[i].at += lack / 2 }
    }
  }
  tags.forEach((tag, i) => { tag.at = Math.max(tag.at, i ? tags[i - 1].at + gap : top) })
  for (let i = tags.length - 1; i >= 0; i--) tags[i].at = Math.min(tags[i].at, i < tags.length - 1 ? tags[i + 1].at - gap : bottom)
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

// Write HTML by changing the texts and classes that differ: new elements would cost the page a style pass at every tick.
const draft = document.createElement("template")
function rewrite(el, html) {
  draft.innerHTML = html
  if (!follow(el, draft.content)) el.innerHTML = html
}
function follow(held, wanted) {
  const a = held.childNodes, b = wanted.childNodes
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) {
    if (a[i].nodeName !== b[i].nodeName) return false
    if (a[i].nodeType === Node.TEXT_NODE) { if (a[i].nodeValue !== b[i].nodeValue) a[i].nodeValue = b[i].nodeValue; continue }
    if (a[i].className !== b[i].className) a[i].className = b[i].className
    if (a[i].getAttribute("style") !== b[i].getAttribute("style")) a[i].setAttribute("style", b[i].getAttribute("style") ?? "")
    if (!follow(a[i], b[i])) return false
  }
  return true
}

// First index whose value is >= x.
function lower(values, x, key) {
  let a = 0, b = values.length
  while (a < b) {
    const m = (a + b) >> 1
    if ((key ? key(values[m]) : values[m]) < x) a = m + 1
    else b = m
  }
  return a
}

function snapPitch(pitch) {
  return pitch >= 3 ? Math.round(pitch) : pitch >= 1 ? Math.round(pitch * 2) / 2 : pitch
}
// Bars per drawn bar, a power of two, so that each has at least a pixel and a half.
function thinning(pitch) {
  let k = 1
  while (pitch * k < 1.5 && k < 1024) k *= 2
  return k
}

function weightOf(before, now, intraday) {
  const a = new Date(before * 1000), b = new Date(now * 1000)
  if (a.getUTCFullYear() !== b.getUTCFullYear()) return 9
  if (a.getUTCMonth() !== b.getUTCMonth()) return 8
  if (!intraday) return Math.floor(before / 604800 + 3 / 7) !== Math.floor(now / 604800 + 3 / 7) ? 7 : 6
  if (a.getUTCDate() !== b.getUTCDate()) return 7
  const minute = Math.floor(now / 60) % 1440, earlier = Math.floor(before / 60) % 1440
  let weight = 0
  for (const [w, step] of [[6, 240], [5, 60], [4, 30], [3, 15], [2, 5]]) if (Math.floor(minute / step) !== Math.floor(earlier / step)) { weight = w; break }
  return weight
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
function labelOf({ny, weight}, intraday) {
  const d = new Date(ny * 1000)
  if (weight === 9) return String(d.getUTCFullYear())
  if (weight === 8 && !intraday) return MONTHS[d.getUTCMonth()]
  if (weight >= 7 && intraday) return `${DAYS[d.getUTCDay()]} ${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`
  if (!intraday) return `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`
  return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`
}
function stamp(ny, intraday) {
  const d = new Date(ny * 1000)
  const day = `${DAYS[d.getUTCDay()]} ${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]} ${d.getUTCFullYear()}`
  return intraday ? `${day} ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}` : day
}
function dashed(ctx, left, right, y, colour, dash) {
  ctx.save()
  ctx.strokeStyle = colour
  ctx.lineWidth = 1
  ctx.setLineDash(dash)
  ctx.beginPath()
  ctx.moveTo(left, y + 0.5)
  ctx.lineTo(right, y + 0.5)
  ctx.stroke()
  ctx.restore()
}
// Labels of an axis: as many decimals as its steps need.
function evenly(ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : 1
  const decimals = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)))
  return ticks.map((y) => y.toFixed(decimals))
}
function value(v) { const a = Math.abs(v); return v.toFixed(a >= 1000 ? 0 : a >= 10 ? 1 : a >= 0.1 ? 2 : 4) }
function two(n) { return String(n).padStart(2, "0") }
function sign(v) { return v > 0 ? "+" : v < 0 ? "−" : "" }
function round(v, decimals) { const f = 10 ** (decimals ?? 2); return Math.round(v * f) / f }
function short(v) {
  for (const [unit, name] of [[1e9, "B"], [1e6, "M"], [1e3, "K"]]) if (v >= unit) return (v / unit).toFixed(v >= 100 * unit ? 0 : v >= 10 * unit ? 1 : 2) + name
  return String(Math.round(v))
}
function age(s) { return s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days` }
function escape(text) { return String(text).replace(/[&<>"]/g, (c) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]) }
