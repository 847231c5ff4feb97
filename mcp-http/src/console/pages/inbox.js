// Who waits for me: what runs ask, the oldest first; one click answers, and the run goes on.

import { html, useState } from "../vendor.js";
import { post } from "../api.js";
import { Empty, Page, Time, Waiting, useLiveAnswer } from "../kit.js";
import { Question } from "./tools.js";

export function Inbox() {
  const asked = useLiveAnswer("questions", "questions");
  const [gone, forget] = useState([]);
  const waiting = asked.data?.questions.filter((question) => !gone.includes(`${question.run} ${question.name}`)) ?? [];
  const answer = async (question, response) => {
    await post(`runs/${question.run}/answers`, { answers: { [question.name]: response } });
    forget((gone) => [...gone.slice(-100), `${question.run} ${question.name}`]);
    asked.reload();
  };
  return html`<${Page} title="Inbox" curl="questions">
    ${!asked.data
      ? html`<${Waiting} answer=${asked} />`
      : waiting.length
        ? html`<ol class="inbox">
            ${waiting.map(
              (question) => html`<li key=${`${question.run} ${question.name}`}>
                <p class="quiet"><a href=${`#/runs/${question.run}`}>${question.of}</a> asks since <${Time} at=${question.at} />, for ${question.caller}</p>
                <${Question} name=${question.name} request=${question.request} answer=${(response) => answer(question, response)} />
              </li>`,
            )}
          </ol>`
        : html`<${Empty} command="mcp-http runs list --state waiting">Nobody waits for you.<//>`}
  <//>`;
}
