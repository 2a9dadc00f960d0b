// The Vercel AI SDK asks a model through Penstock, uses a tool, and sends its trace there. node telemetry.mjs FOLDER_OF_PACKAGES
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.argv[2]}/x.js`);
const load = (name) => import(pathToFileURL(require.resolve(name)));

const { generateText, stepCountIs, tool } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { NodeTracerProvider, BatchSpanProcessor } = await load("@opentelemetry/sdk-trace-node");
const { OTLPTraceExporter } = await load("@opentelemetry/exporter-trace-otlp-proto");
const { resourceFromAttributes } = await load("@opentelemetry/resources");
const { z } = await load("zod");

const { PENSTOCK_URL: url, PENSTOCK_KEY: key } = process.env;
const exporter = new OTLPTraceExporter({ url: `${url}/v1/traces`, headers: { authorization: `Bearer ${key}` } });
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "vercel" }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
provider.register();

const model = createOpenAICompatible({ name: "openai", baseURL: `${url}/v1`, apiKey: key })("m");
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async () => "rain",
});
const { text } = await generateText({
  model,
  tools: { weather },
  stopWhen: stepCountIs(3),
  prompt: "What is it like in Delft?",
  experimental_telemetry: { isEnabled: true, metadata: { sessionId: "s1" } },
});
await provider.shutdown();
console.log(text);
