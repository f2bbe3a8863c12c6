// A small wiki as a team has it, for pictures and measurements.
import assert from "node:assert/strict";

export const runbook = `<p>How we move the database to another host. Read it to the end before you begin.</p>
<h2>Before</h2><ul><li>Tell the people on call</li><li>Check that the backup of last night is complete</li></ul>
<h2>Steps</h2><p>Stop the writers, wait until the replica has caught up, and promote it.</p>
<ac:structured-macro ac:name="code"><ac:parameter ac:name="language">sh</ac:parameter><ac:plain-text-body><![CDATA[pg_ctl promote -D /var/lib/postgresql
psql -c 'select pg_is_in_recovery()']]></ac:plain-text-body></ac:structured-macro>
<h2>After</h2><table><tbody><tr><th>What</th><th>Who</th></tr><tr><td>Watch the replica</td><td>on call</td></tr></tbody></table>
<ac:structured-macro ac:name="note"><ac:rich-text-body><p>The old host stays untouched for a day.</p></ac:rich-text-body></ac:structured-macro>`;

const certificates = `<p>Each certificate is renewed thirty days before it ends. <strong>Nothing is restarted:</strong> HAProxy reads the new file.</p>
<ol><li>Ask for it: <code>certbot renew --dry-run</code>, then without the last word.</li><li>Look at the dates of what HAProxy serves.</li></ol>`;
const onCall = `<p>One person a week, from Monday 09:00. Whoever is on call has the phone and may wake anybody.</p>
<table><tbody><tr><th>Week</th><th>First</th><th>Second</th></tr><tr><td>47</td><td>Ada</td><td>Grace</td></tr><tr><td>48</td><td>Grace</td><td>Vera</td></tr><tr><td>49</td><td>Vera</td><td>Ada</td></tr></tbody></table>`;

const tree = [
  ["Runbooks", "<p>What to do when something is to be done, or is broken. One page each, short, and tried out once a year.</p>"],
  ["Moving the database", runbook, "Runbooks"],
  ["Restoring a backup", "<p>Into a database of its own first; then compare the number of pages.</p>", "Runbooks"],
  ["Renewing certificates", certificates, "Runbooks"],
  ["On call", onCall],
  ["Handing over", "<p>Ten minutes, every Monday: what is open, what was silenced, what is planned.</p>", "On call"],
  ["Decisions", "<p>What we have decided, and why. A page is not changed later: a new one replaces it.</p>"],
  ["One database, not three", "<p>Because nobody could say which of them was right.</p>", "Decisions"],
];

/** Makes the space Operations (OPS) with pages, versions, labels and a file. Returns the pages' ids by title. */
export async function makeSample(site) {
  const asked = async (method, where, body) => {
    const answer = await site.call(method, where, body);
    assert.equal(answer.status, 200, `${method} ${where}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const storage = (value) => ({ storage: { value, representation: "storage" } });
  await asked("POST", "/rest/api/space", { key: "OPS", name: "Operations", description: { plain: { value: "How we run what we run.", representation: "plain" } } });
  const ids = {};
  for (const [title, value, parent] of tree)
    ids[title] = (await asked("POST", "/rest/api/content", { type: "page", title, space: { key: "OPS" }, ...(parent ? { ancestors: [{ id: ids[parent] }] } : {}), body: storage(value) })).id;
  const title = "Moving the database";
  const changes = [
    ["Stop the writers", "Stop all the writers"],
    ["<li>Tell the people on call</li>", "<li>Tell the people on call, and support</li>"],
    ["a day.", "two days."],
  ];
  let value = runbook;
  for (const [at, [before, after]] of changes.entries()) {
    value = value.replace(before, after);
    await asked("PUT", `/rest/api/content/${ids[title]}`, { type: "page", title, version: { number: at + 2, message: ["All of them", "Support asked for it", "After the drill"][at] }, body: storage(value) });
  }
  await asked("POST", `/rest/api/content/${ids[title]}/label`, [
    { prefix: "global", name: "database" },
    { prefix: "global", name: "runbook" },
  ]);
  return ids;
}
