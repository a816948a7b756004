// The Vercel AI SDK. NODE_PATH names the folder of its packages.
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { generateObject, generateText, stepCountIs, streamText, tool } = require("ai");
const { z } = require("zod");

const [baseURL, model] = process.argv.slice(2);
const QUESTION = "My order arrived damaged. What should I do?";
const shared = { maxOutputTokens: 64, temperature: 0, maxRetries: 0 };
const provider = createOpenAICompatible({
  name: "chatscale", baseURL, apiKey: "none", includeUsage: true, supportsStructuredOutputs: true,
});
const chatModel = provider(model);

function check(condition, found) {
  if (!condition) throw new Error(`found ${JSON.stringify(found)}`);
}

async function chat() {
  const question = { role: "user", content: QUESTION };
  const first = await generateText({ model: chatModel, messages: [question], ...shared });
  check(first.text && first.usage.outputTokens, first);
  const messages = [question, ...first.response.messages, { role: "user", content: "And then?" }];
  check((await generateText({ model: chatModel, messages, ...shared })).text, messages);
}

async function stream() {
  const result = streamText({ model: chatModel, prompt: QUESTION, ...shared });
  const parts = [];
  for await (const part of result.textStream) parts.push(part);
  check(parts.length > 1 && (await result.usage).outputTokens > 1, parts);
}

async function tools() {
  const weather = tool({
    description: "Get the weather in a city.",
    inputSchema: z.object({ city: z.enum(["Paris", "Rome"]) }),
    execute: async ({ city }) => `It is sunny in ${city}.`,
  });
  const result = await generateText({
    model: chatModel, prompt: QUESTION, tools: { weather }, toolChoice: "required", stopWhen: stepCountIs(2), ...shared,
  });
  check(result.steps.length === 2 && result.steps[0].toolResults.length === 1, result.steps);
}

async function structured() {
  const schema = z.object({ sentiment: z.enum(["good", "bad"]), refund: z.boolean() });
  const { object } = await generateObject({ model: chatModel, schema, prompt: "Classify: 'It is broken!'", ...shared });
  check(typeof object.refund === "boolean", object);
}

async function completions() {
  const result = await generateText({ model: provider.completionModel(model), prompt: "Once", ...shared });
  check(result.text, result);
}

(async () => {
  const results = {};
  for (const [name, run] of Object.entries({ chat, stream, tools, structured, completions })) {
    try {
      await run();
      results[name] = "";
    } catch (error) {
      results[name] = `${error.stack} ${error.responseBody || ""}`.slice(0, 2000);
    }
  }
  console.log("\n" + JSON.stringify(results));
})();
