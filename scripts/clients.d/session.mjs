// What the drivers of both TypeScript clients have in common.
import { json } from "node:stream/consumers";

// The job: `url`, `era`, and `calls` of `{tool, arguments, listen}`.
export const job = await json(process.stdin);

// Connects, lists the tools, makes the calls, and prints what came back.
export async function drive(client, transport, call, version) {
    await client.connect(transport);
    const { tools } = await client.listTools();
    const answers = [];
    for (const { tool, arguments: given, listen } of job.calls) {
        const progress = [];
        const options = listen ? { onprogress: (told) => progress.push(told.progress) } : {};
        try {
            answers.push({ result: await call({ name: tool, arguments: given }, options), progress });
        } catch (error) {
            answers.push({ error: { code: error.code, message: error.message } });
        }
    }
    const negotiated = version();
    await client.close();
    console.log(JSON.stringify({ version: negotiated, tools, answers }));
}
