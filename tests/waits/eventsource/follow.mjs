// Follow a stream with the npm package `eventsource`; print each event, and each end of a connection, as a line of JSON.
import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);
const show = (event) => console.log(JSON.stringify({ name: event.type, id: event.lastEventId, data: event.data }));
for (const name of ["running", "progress", "problem"]) source.addEventListener(name, show);
source.addEventListener("result", (event) => {
  show(event);
  source.close();
});
source.addEventListener("error", (event) => {
  console.log(JSON.stringify({ name: "error", code: event.code ?? null }));
  if (source.readyState === EventSource.CLOSED) process.exit(1);
});
