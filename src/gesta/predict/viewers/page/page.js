// The live page: pictures and news are fetched one after the other, so that a slow page sees fewer, never later ones.

const WHO = ["#e63946", "#1d90ff", "#22aa60", "#f59e0b", "#9b51e0", "#00b4be"]
const ACTIONS = ["#1d4ed8", "#0f766e", "#9d174d", "#7c2d12", "#3f6212", "#6d28d9", "#b91c1c", "#155e75"]
const SPANS_S = [15, 30, 60, 120, 300, 600]
const THEMES = ["system", "dark", "light"]

const by = (id) => document.getElementById(id)
const token = new URLSearchParams(location.hash.slice(1)).get("token")
const headers = token ? { Authorization: `Bearer ${token}` } : {}
const wait = (ms) => new Promise((done) => setTimeout(done, ms))

const state = { frame: 0, news: 0, isOver: false, isPaused: false, hasBoxes: true, span: 2, theme: 0, moments: [], look: null, bitmap: null }

const colorOf = (who) => WHO[who % WHO.length]
const hashOf = (name) => [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7)
const actionColor = (name) => ACTIONS[hashOf(name) % ACTIONS.length]
const clockOf = (us) => {
  const seconds = Math.max(0, Math.floor(us / 1e6))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name)
  made.textContent = text
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}

function draw() {
  const { bitmap, look } = state
  if (!bitmap) return
  const canvas = by("picture")
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width
    canvas.height = bitmap.height
  }
  const pen = canvas.getContext("2d")
  pen.drawImage(bitmap, 0, 0)
  if (!state.hasBoxes) return
  const size = Math.max(11, Math.round(Math.min(canvas.width, canvas.height) / 26))
  pen.font = `600 ${size}px system-ui, sans-serif`
  pen.textBaseline = "top"
  for (const { person_id: who, box: [x1, y1, x2, y2], actions } of look.people) {
    const [left, top] = [x1 * canvas.width, y1 * canvas.height]
    pen.strokeStyle = pen.fillStyle = colorOf(who)
    pen.lineWidth = Math.max(1, size / 8)
    pen.strokeRect(left, top, (x2 - x1) * canvas.width, (y2 - y1) * canvas.height)
    const lines = [`#${who}`, ...actions.map(([name, score]) => `${name} ${score.toFixed(2)}`)]
    const wide = Math.max(...lines.map((line) => pen.measureText(line).width)) + 8
    const high = size * 1.3
    const from = Math.max(0, Math.min(top - high * lines.length, canvas.height - high * lines.length))
    const side = Math.max(0, Math.min(left, canvas.width - wide))
    pen.globalAlpha = 0.85
    pen.fillRect(side, from, wide, high * lines.length)
    pen.globalAlpha = 1
    pen.fillStyle = "#fff"
    lines.forEach((line, place) => pen.fillText(line, side + 4, from + high * place + 2))
  }
}

function showPeople() {
  const list = by("people")
  list.replaceChildren(...state.look.people.map(({ person_id: who, actions }) => {
    const item = element("li")
    item.style.setProperty("--who", colorOf(who))
    item.dataset.person = who
    item.append(element("strong", `#${who}`))
    for (const [name, score] of actions) {
      const line = element("p")
      line.append(element("span", name), element("span", score.toFixed(2)), element("meter", "", { value: score, "aria-label": name }))
      item.append(line)
    }
    return item
  }))
}

function showTimeline() {
  const span_us = SPANS_S[state.span] * 1e6
  by("span").textContent = SPANS_S[state.span]
  const end_us = state.moments.length ? state.moments[state.moments.length - 1].end_us : 0
  const start_us = end_us - span_us
  const rows = new Map()
  for (const moment of state.moments) {
    if (moment.end_us <= start_us) continue
    for (const { person_id: who, actions } of moment.persons) {
      if (!rows.has(who)) rows.set(who, [])
      rows.get(who).push({ from: Math.max(moment.start_us, start_us), to: moment.end_us, top: actions[0] })
    }
  }
  by("timeline").replaceChildren(...[...rows].sort(([one], [other]) => one - other).map(([who, parts]) => {
    const row = element("div", "", { class: "row" })
    const bar = element("div", "", { class: "bar" })
    row.dataset.person = who
    row.append(element("strong", `#${who}`), bar)
    const joined = []
    for (const part of parts) {
      const last = joined[joined.length - 1]
      if (last && part.top && last.name === part.top[0] && last.to === part.from) last.to = part.to
      else if (part.top) joined.push({ name: part.top[0], from: part.from, to: part.to })
    }
    for (const { name, from, to } of joined) {
      const piece = element("span", name, { title: `${name}, ${clockOf(from)} to ${clockOf(to)}` })
      piece.style.left = `${100 * (from - start_us) / span_us}%`
      piece.style.width = `${100 * (to - from) / span_us}%`
      piece.style.background = actionColor(name)
      bar.append(piece)
    }
    return row
  }))
}

function showNews(news) {
  by("source").textContent = document.title = news.facts.file ?? "gesta predict"
  const { counts } = news
  by("latency").textContent = counts.latency_us == null ? "–" : `${(counts.latency_us / 1e6).toFixed(2)} s`
  by("dropped").textContent = counts.dropped_frames ?? 0
  by("skipped").textContent = counts.skipped_moments ?? 0
  by("state").textContent = news.is_over ? "over" : state.isPaused ? "paused" : "live"
}

async function follow(step) {
  for (;;) {
    try {
      if (await step()) return
      by("problem").textContent = ""
    } catch (error) {
      if (state.isOver) return
      by("problem").textContent = error.refused ? error.message : "The connection is lost. Trying again."
      by("state").textContent = error.refused ? "refused" : "lost"
      if (error.refused) return
      await wait(1000)
    }
  }
}

async function ask(path) {
  const answer = await fetch(path, { headers, cache: "no-store" })
  if (answer.status === 401 || answer.status === 403) throw Object.assign(new Error(await answer.text()), { refused: true })
  if (!answer.ok) throw new Error(String(answer.status))
  return answer
}

follow(async () => {
  if (state.isPaused) return void (await wait(100))
  const answer = await ask(`/api/frame?after=${state.frame}`)
  if (answer.status === 204) return state.isOver
  const look = JSON.parse(answer.headers.get("x-look"))
  const bitmap = await createImageBitmap(await answer.blob())
  if (state.isPaused) return false
  Object.assign(state, { look, bitmap, frame: look.number })
  by("clock").textContent = clockOf(look.time_us)
  draw()
  showPeople()
  return false
})

follow(async () => {
  const news = await (await ask(`/api/news?after=${state.news}&over=${state.isOver ? 1 : 0}`)).json()
  state.news = news.number
  state.isOver = news.is_over
  state.moments = [...state.moments, ...news.moments].slice(-600)
  showNews(news)
  if (news.moments.length && !state.isPaused) showTimeline()
  return news.is_over
})

function pause() {
  state.isPaused = !state.isPaused
  by("pause").setAttribute("aria-pressed", state.isPaused)
  if (!state.isOver) by("state").textContent = state.isPaused ? "paused" : "live"
  if (!state.isPaused) showTimeline()
}
function boxes() {
  state.hasBoxes = !state.hasBoxes
  by("boxes").setAttribute("aria-pressed", state.hasBoxes)
  draw()
}
function zoom(step) {
  state.span = Math.min(SPANS_S.length - 1, Math.max(0, state.span + step))
  showTimeline()
}
function theme() {
  state.theme = (state.theme + 1) % THEMES.length
  if (state.theme) document.documentElement.dataset.theme = THEMES[state.theme]
  else delete document.documentElement.dataset.theme
  by("theme-name").textContent = `theme: ${THEMES[state.theme]}`
}

by("pause").onclick = pause
by("boxes").onclick = boxes
by("nearer").onclick = () => zoom(-1)
by("farther").onclick = () => zoom(1)
by("theme").onclick = theme
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const on = { " ": pause, b: boxes, "+": () => zoom(-1), "=": () => zoom(-1), "-": () => zoom(1), t: theme }[event.key.toLowerCase()]
  // A button that has the focus takes the space bar for itself.
  if (!on || (event.key === " " && event.target instanceof HTMLButtonElement)) return
  event.preventDefault()
  on()
})
