// Sends events with the CloudEvents SDK, in every mode it has, and prints one JSON line an answer.
//
//   node cloud_events.mjs URL TOKEN PLAN      PLAN: JSON, [{"mode": "...", "events": [{...}]}]
import { gzipSync } from "node:zlib";
import { CloudEvent, HTTP, Mode, emitterFor } from "cloudevents";

const [url, token, plan] = process.argv.slice(2);

async function post(headers, body) {
  const answer = await fetch(url, { method: "POST", headers: { ...headers, authorization: `Bearer ${token}` }, body });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}

const transport = ({ headers, body }) => post(headers, body);

const send = {
  structured: (events) => emitterFor(transport, { binding: HTTP, mode: Mode.STRUCTURED })(events[0]),
  binary: (events) => emitterFor(transport, { binding: HTTP, mode: Mode.BINARY })(events[0]),
  // The SDK reads batches and writes none: the events are its own, the array around them is ours.
  batch: (events) => post({ "content-type": "application/cloudevents-batch+json" }, JSON.stringify(events)),
  gzip: (events) => {
    const { headers, body } = HTTP.structured(events[0]);
    return post({ ...headers, "content-encoding": "gzip" }, gzipSync(body));
  },
};

for (const { mode, events } of JSON.parse(plan)) {
  const answer = await send[mode](events.map((event) => new CloudEvent(event)));
  console.log(JSON.stringify({ mode, ...answer }));
}
