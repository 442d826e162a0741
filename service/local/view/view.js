// Draws what the feed tells. Every text goes into the page as text (textContent), so that nothing which a caller
// sent can become markup; the page's Content-Security-Policy forbids the rest.

const MOST = { requests: 50, executions: 50, frames: 100 };
const TICK = 100; // milliseconds between two looks at what still runs
const RETRY = 2000; // milliseconds until a server that refused is asked again

const at = (id) => document.getElementById(id);

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function say(element, text, className = element.className) {
  if (element.textContent !== text) element.textContent = text;
  if (element.className !== className) element.className = className;
}

function clock(seconds) {
  const date = new Date(seconds * 1000);
  return date.toLocaleTimeString("en-GB") + "." + String(date.getMilliseconds()).padStart(3, "0");
}

// The newest rows of a list, each found again by its key; the oldest leave the page.
class Rows {
  constructor(id, most) {
    this.home = at(id);
    this.most = most;
    this.clear();
  }

  get(key, build) {
    let row = this.byKey.get(key);
    if (row === undefined) {
      row = build();
      this.byKey.set(key, row);
      this.home.prepend(row.element);
      if (this.byKey.size > this.most) {
        const [oldest, gone] = this.byKey.entries().next().value;
        gone.element.remove();
        this.byKey.delete(oldest);
      }
    }
    return row;
  }

  clear() {
    this.byKey = new Map();
    this.home.replaceChildren();
  }
}

function tableRow(...cells) {
  const element = make("tr");
  element.append(...cells);
  return element;
}

const requests = new Rows("requests", MOST.requests);
const executions = new Rows("executions", MOST.executions);
const frames = new Rows("frames", MOST.frames);
let ahead = 0; // seconds by which the server's clock is ahead of this one
let frameNumber = 0;

function drawRequest(entry) {
  const row = requests.get(entry.number, () => {
    const answer = make("td");
    const seconds = make("td", "", "number");
    const what = make("td", `${entry.method} ${entry.path}`, "text");
    return { element: tableRow(make("td", clock(entry.began)), what, answer, seconds), answer, seconds };
  });
  Object.assign(row, { began: entry.began, ended: entry.ended });
  if (entry.ended === undefined) say(row.answer, "in flight", "busy");
  else if (entry.status === null) say(row.answer, "caller left", "quiet");
  else say(row.answer, String(entry.status), entry.status < 400 ? "good" : "bad");
}

function executionRow(name) {
  return executions.get(name, () => {
    const [status, seconds, states, data] = [make("span"), make("span", "", "seconds"), make("ol", "", "states"), make("p")];
    const [head, element] = [make("p", "", "head"), make("li")];
    head.append(make("code", name), status, seconds);
    element.append(head, states, data);
    return { element, status, seconds, states, data };
  });
}

function drawExecution(entry) {
  const row = executionRow(entry.name);
  Object.assign(row, { began: entry.began, ended: entry.ended ?? undefined });
  const colour = { RUNNING: "busy", SUCCEEDED: "good" }[entry.status] ?? "bad";
  say(row.status, entry.status, colour);
  if (entry.ended !== null) current(row.states)?.removeAttribute("aria-current");
  const failure = entry.error && `${entry.error}: ${entry.cause ?? ""}`;
  row.data.replaceChildren(make("code", event(entry.input)));
  if (entry.output ?? failure) row.data.append(" \u2192 ", make("code", entry.output ?? failure));
}

// The caller's JSON text out of the execution's input, or all of that if it is cut or of another form.
function event(input) {
  try {
    return JSON.parse(input).event ?? input;
  } catch {
    return input;
  }
}

const current = (states) => states.querySelector("[aria-current]");

function drawState(entry) {
  const row = executionRow(entry.execution);
  current(row.states)?.removeAttribute("aria-current");
  const state = make("li", `${entry.state} `);
  if (row.began !== undefined) state.append(make("span", `+${(entry.at - row.began).toFixed(2)} s`));
  state.setAttribute("aria-current", "step");
  row.states.append(state);
}

function drawFrame(entry) {
  const [time, socket] = [make("td", clock(entry.at), "quiet"), make("td", String(entry.connection))];
  const element = tableRow(time, socket, make("td", entry.direction), make("td", entry.text, "text"));
  frames.get((frameNumber += 1), () => ({ element }));
}

const DRAW = { request: drawRequest, execution: drawExecution, state: drawState, frame: drawFrame };

function draw(message) {
  ahead = message.now - Date.now() / 1000;
  for (const [name, count] of Object.entries(message.counts)) say(at(`${name}-now`), String(count ?? "-"));
  // The local AWS alone sees no requests to the service.
  at("requests-part").hidden = message.counts.requests === null;
  for (const entry of message.entries) DRAW[entry.kind](entry);
  say(at("connection"), message.missed ? `live; ${message.missed} entries came too fast to be shown` : "live");
  tick();
}

function tick() {
  const now = Date.now() / 1000 + ahead;
  for (const rows of [requests, executions]) {
    for (const row of rows.byKey.values()) {
      if (row.began !== undefined) say(row.seconds, Math.max((row.ended ?? now) - row.began, 0).toFixed(2) + " s");
    }
  }
}

let source;
let again;

function look() {
  source = new EventSource("feed");
  // Each connection begins with all that is kept.
  source.onopen = () => [requests, executions, frames].forEach((rows) => rows.clear());
  source.onmessage = (message) => draw(JSON.parse(message.data));
  source.onerror = () => {
    say(at("connection"), "not connected; trying again");
    // The browser itself comes back after a lost connection, but not after a refusal.
    if (source.readyState === EventSource.CLOSED) again = setTimeout(look, RETRY);
  };
}

at("pause").addEventListener("click", () => {
  const paused = at("pause").getAttribute("aria-pressed") === "false";
  at("pause").setAttribute("aria-pressed", String(paused));
  if (paused) {
    source.close();
    clearTimeout(again);
    say(at("connection"), "paused");
  } else {
    look();
  }
});

setInterval(() => source.readyState === EventSource.OPEN && tick(), TICK);
look();
