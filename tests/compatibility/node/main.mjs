// OpenAI's SDK for Node against a running Penstock: chat, a tools loop, structured output, streams, images, embeddings, responses, errors.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Installed in a folder of its own, beside which this file does not stand.
const require = createRequire(process.argv[2] + "/");
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")).href);

const PNG = process.argv[3];
const sdk = new OpenAI({ baseURL: `${process.env.PENSTOCK_URL}/v1`, apiKey: process.env.PENSTOCK_KEY, maxRetries: 0 });
const said = [{ role: "user", content: "What is it like in Delft?" }];
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } } }];
const schema = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } } };

for (const model of ["m", "c", "g"]) {
  const whole = await sdk.chat.completions.create({ model, messages: said });
  assert.equal(whole.choices[0].message.content, "Hello there.");
  assert.equal(whole.usage.total_tokens, 12);

  let text = "";
  for await (const chunk of await sdk.chat.completions.create({ model, messages: said, stream: true })) {
    text += chunk.choices[0]?.delta?.content ?? "";
  }
  assert.equal(text.trim(), "Hello there.");

  const first = await sdk.chat.completions.create({ model, messages: said, tools });
  const call = first.choices[0].message.tool_calls[0];
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Delft" });
  const history = [...said, first.choices[0].message, { role: "tool", tool_call_id: call.id, content: "rain" }];
  const last = await sdk.chat.completions.create({ model, messages: history, tools });
  assert.equal(last.choices[0].message.content, "It rains in Delft.");

  const format = { type: "json_schema", json_schema: { name: "person", schema } };
  const parsed = await sdk.chat.completions.parse({ model, messages: said, response_format: format });
  assert.equal(JSON.parse(parsed.choices[0].message.content).name, "Ada");

  const image = { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } };
  const seen = await sdk.chat.completions.create({ model, messages: [{ role: "user", content: [{ type: "text", text: "?" }, image] }] });
  assert.equal(seen.choices[0].message.content, "I see a pixel.");

  const response = await sdk.responses.create({ model, input: "hi", store: false });
  assert.equal(response.output_text, "Hello there.");
  const kinds = [];
  for await (const event of await sdk.responses.create({ model, input: "hi", store: false, stream: true })) kinds.push(event.type);
  assert.equal(kinds.at(-1), "response.completed");
}

const embedded = await sdk.embeddings.create({ model: "m", input: ["a", "b"] });
assert.deepEqual(embedded.data.map((row) => Array.from(row.embedding)), [[0.5, 1], [0.5, 1]]);
const models = [];
for await (const model of sdk.models.list()) models.push(model.id);
for (const model of ["c", "g", "m"]) assert.ok(models.includes(model));
await assert.rejects(sdk.chat.completions.create({ model: "nobody", messages: said }), OpenAI.NotFoundError);
await assert.rejects(sdk.withOptions({ apiKey: "psk_no" }).chat.completions.create({ model: "m", messages: said }), OpenAI.AuthenticationError);
console.log("all well");
