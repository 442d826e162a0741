// The live view: it shows the entries of the feed. All text is set as textContent, so nothing that a caller sends can
// become markup; the page's Content-Security-Policy forbids the rest.

const MAX_ROWS = { requests: 50, executions: 50, frames: 100 };
const REFRESH_INTERVAL_MS = 100; // for the durations of what is still running
const RECONNECT_DELAY_MS = 2000; // after the server has refused the feed

const byId = (id) => document.getElementById(id);

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function setText(element, text, className = element.className) {
  if (element.textContent !== text) element.textContent = text;
  if (element.className !== className) element.className = className;
}

function clock(seconds) {
  const date = new Date(seconds * 1000);
  return date.toLocaleTimeString("en-GB") + "." + String(date.getMilliseconds()).padStart(3, "0");
}

// The newest rows of a list by their keys; the oldest are removed from the page.
class Rows {
  constructor(id, maxRows) {
    this.container = byId(id);
    this.maxRows = maxRows;
    this.clear();
  }

  get(key, build) {
    let row = this.byKey.get(key);
    if (row === undefined) {
      row = build();
      this.byKey.set(key, row);
      this.container.prepend(row.element);
      if (this.byKey.size > this.maxRows) {
        const [oldest, gone] = this.byKey.entries().next().value;
        gone.element.remove();
        this.byKey.delete(oldest);
      }
    }
    return row;
  }

  clear() {
    this.byKey = new Map();
    this.container.replaceChildren();
  }
}

function tableRow(...cells) {
  const element = make("tr");
  element.append(...cells);
  return element;
}

const requests = new Rows("requests", MAX_ROWS.requests);
const executions = new Rows("executions", MAX_ROWS.executions);
const frames = new Rows("frames", MAX_ROWS.frames);
let clockOffset = 0; // seconds by which the server's clock is ahead of the browser's
let frameNumber = 0;

function drawRequest(entry) {
  const row = requests.get(entry.number, () => {
    const response = make("td");
    const duration = make("td", "", "number");
    const request = make("td", `${entry.method} ${entry.path}`, "text");
    return { element: tableRow(make("td", clock(entry.started)), request, response, duration), response, duration };
  });
  Object.assign(row, { started: entry.started, ended: entry.ended });
  if (entry.ended === undefined) setText(row.response, "in flight", "busy");
  else if (entry.status === null) setText(row.response, "caller left", "muted");
  else setText(row.response, String(entry.status), entry.status < 400 ? "good" : "bad");
}

function executionRow(name) {
  return executions.get(name, () => {
    const [status, duration, states, data] = [make("span"), make("span", "", "duration"), make("ol", "", "states"), make("p")];
    const [head, element] = [make("p", "", "head"), make("li")];
    head.append(make("code", name), status, duration);
    element.append(head, states, data);
    return { element, status, duration, states, data };
  });
}

function drawExecution(entry) {
  const row = executionRow(entry.name);
  Object.assign(row, { started: entry.started, ended: entry.ended ?? undefined });
  const colour = { RUNNING: "busy", SUCCEEDED: "good" }[entry.status] ?? "bad";
  setText(row.status, entry.status, colour);
  if (entry.ended !== null) currentState(row.states)?.removeAttribute("aria-current");
  const failure = entry.error && `${entry.error}: ${entry.cause ?? ""}`;
  row.data.replaceChildren(make("code", eventOf(entry.input)));
  if (entry.output ?? failure) row.data.append(" \u2192 ", make("code", entry.output ?? failure));
}

// The caller's JSON text in the execution's input, or all of the input if it is shortened or has another form.
function eventOf(input) {
  try {
    return JSON.parse(input).event ?? input;
  } catch {
    return input;
  }
}

const currentState = (states) => states.querySelector("[aria-current]");

function drawState(entry) {
  const row = executionRow(entry.execution);
  currentState(row.states)?.removeAttribute("aria-current");
  const state = make("li", `${entry.state} `);
  if (row.started !== undefined) state.append(make("span", `+${(entry.at - row.started).toFixed(2)} s`));
  state.setAttribute("aria-current", "step");
  row.states.append(state);
}

function drawFrame(entry) {
  const [time, socket] = [make("td", clock(entry.at), "muted"), make("td", String(entry.connection))];
  const element = tableRow(time, socket, make("td", entry.direction), make("td", entry.text, "text"));
  frames.get((frameNumber += 1), () => ({ element }));
}

const DRAW = { request: drawRequest, execution: drawExecution, state: drawState, frame: drawFrame };

function draw(message) {
  clockOffset = message.now - Date.now() / 1000;
  for (const [name, count] of Object.entries(message.counts)) setText(byId(`${name}-now`), String(count ?? "-"));
  // The local AWS by itself does not see the requests to the service.
  byId("requests-part").hidden = message.counts.requests === null;
  for (const entry of message.entries) DRAW[entry.kind](entry);
  setText(byId("connection"), message.missed ? `live; skipped ${message.missed} entries that came too fast` : "live");
  refreshDurations();
}

function refreshDurations() {
  const now = Date.now() / 1000 + clockOffset;
  for (const rows of [requests, executions]) {
    for (const row of rows.byKey.values()) {
      if (row.started !== undefined) setText(row.duration, Math.max((row.ended ?? now) - row.started, 0).toFixed(2) + " s");
    }
  }
}

let source;
let reconnectTimer;

function connect() {
  source = new EventSource("feed");
  // Each connection starts with everything that the server has kept.
  source.onopen = () => [requests, executions, frames].forEach((rows) => rows.clear());
  source.onmessage = (message) => draw(JSON.parse(message.data));
  source.onerror = () => {
    setText(byId("connection"), "not connected; reconnecting");
    // The browser reconnects after a lost connection, but not after an error response.
    if (source.readyState === EventSource.CLOSED) reconnectTimer = setTimeout(connect, RECONNECT_DELAY_MS);
  };
}

byId("pause").addEventListener("click", () => {
  const paused = byId("pause").getAttribute("aria-pressed") === "false";
  byId("pause").setAttribute("aria-pressed", String(paused));
  if (paused) {
    source.close();
    clearTimeout(reconnectTimer);
    setText(byId("connection"), "paused");
  } else {
    connect();
  }
});

setInterval(() => source.readyState === EventSource.OPEN && refreshDurations(), REFRESH_INTERVAL_MS);
connect();
