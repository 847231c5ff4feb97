// What the drivers of both TypeScript clients have in common.
import { json } from "node:stream/consumers";

// The job: where the server is (`url`, or `command`, `environment` and `folder`), `era`, `answers` to what is asked, and `steps`.
export const job = await json(process.stdin);

export const capabilities = { elicitation: {}, sampling: {}, roots: {} };

// What is asked of a client, and what it answers.
export const asked = {
    "elicitation/create": ({ params }) => {
        const known = Object.keys(params.requestedSchema.properties).map((name) => [name, job.answers.form[name]]);
        return { action: "accept", content: Object.fromEntries(known) };
    },
    "sampling/createMessage": () => ({
        role: "assistant",
        content: { type: "text", text: job.answers.model },
        model: "a model",
    }),
    "roots/list": () => ({ roots: job.answers.roots.map((uri) => ({ uri })) }),
};

const patience = 60_000;
const heard = new Set();
let more = () => {};

// What a client is told, and what becomes of it.
export const told = {
    "notifications/tools/list_changed": () => hear("the tools"),
    "notifications/resources/updated": ({ params }) => hear(params.uri),
};

function hear(what) {
    heard.add(what);
    more();
}

// The transport to the server, by the two that a client has.
export function transport(Http, Stdio) {
    if (job.url) return new Http(new URL(job.url));
    return new Stdio({ command: job.command, env: job.environment, cwd: job.folder });
}

// Connects, takes the steps, and prints what came back.
export async function drive(client, transport, { call, listen, version }) {
    const complaints = [];
    client.onerror = (error) => complaints.push(String(error));
    await client.connect(transport);
    const answers = [];
    for (const step of job.steps) {
        try {
            answers.push(await deeds[step.do](client, step, { call, listen }));
        } catch (error) {
            answers.push({ error: { code: error.code, message: error.message } });
        }
    }
    const negotiated = version();
    await client.close();
    console.log(JSON.stringify({ version: negotiated, answers, complaints }));
}

const lists = {
    tools: (client) => client.listTools(),
    resources: (client) => client.listResources(),
    resourceTemplates: (client) => client.listResourceTemplates(),
    prompts: (client) => client.listPrompts(),
};

const deeds = {
    list: async (client, { what }) => ({ result: await lists[what](client) }),
    call: async (_, { tool, arguments: given, listen }, { call }) => {
        const progress = [];
        const options = listen ? { onprogress: (told) => progress.push(told.progress) } : {};
        return { result: await call({ name: tool, arguments: given }, options), progress };
    },
    read: async (client, { uri }) => ({ result: await client.readResource({ uri }) }),
    prompt: async (client, { name, arguments: given }) => ({
        result: await client.getPrompt({ name, arguments: given }),
    }),
    listen: async (_, { trigger, uri }, { call, listen }) => {
        const wanted = uri ?? "the tools";
        const deadline = Date.now() + patience;
        await listen(uri);
        // The stream on which an older client is told may be opened only now.
        while (!heard.has(wanted)) {
            if (Date.now() > deadline) throw new Error(`nothing is heard of ${wanted}`);
            const sooner = new Promise((resolve) => (more = resolve));
            await call({ name: trigger, arguments: {} }, {});
            await Promise.race([sooner, new Promise((resolve) => setTimeout(resolve, 1000))]);
        }
        return { heard: [wanted] };
    },
    cancel: async (client, { call: named }, { call }) => {
        // Over HTTP an answer may still come, which nobody waits for.
        client.onerror = undefined;
        const leaving = new AbortController();
        const options = { signal: leaving.signal, onprogress: () => leaving.abort() };
        await call({ name: "wait", arguments: { call: named } }, options).catch(() => {});
        return { result: await call({ name: "look", arguments: { call: named, stands: "cancelled" } }, {}) };
    },
};
