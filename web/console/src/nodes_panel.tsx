// The members of the cluster while a site is upgraded.
import { useState } from "preact/hooks";
import { post } from "./api";
import type { Cluster, Run } from "./api";
import { Ask } from "./dialog";
import type { Question } from "./dialog";
import { Badge } from "./parts";
import type { Tone } from "./parts";
import { hasEnded } from "./run_panel";
import { words } from "./words";

const stateTones: Record<string, Tone> = { ACTIVE: "good", STARTING: "busy", DRAINING: "waits", TERMINATING: "waits", OFFLINE: "plain", RUNNING_FINALIZE_UPGRADE_TASKS: "busy" };

export function NodesPanel({ cluster, run, changed }: { cluster: Cluster; run: Run | null; changed: () => void }) {
  const n = words.nodes;
  const [question, setQuestion] = useState<Question | null>(null);
  const { members } = cluster;
  const clusterVersion = cluster.clusterVersion ?? "";
  // Only of a run that can still go back; by hand the page says what to do.
  const steered = run !== null && !hasEnded(run) && !run.cancel_requested && (cluster.phase === "MIXED" || cluster.phase === "READY_TO_RUN_UPGRADE_TASKS");
  const ask = (node: string) =>
    setQuestion({
      title: n.takeBack.title(node, clusterVersion),
      effect: n.takeBack.effect(node),
      confirm: n.takeBack.confirm,
      act: async () => {
        await post(`/rest/afloat/1/runs/${run?.id}/rollback`, { node });
        changed();
      },
    });
  const sorted = [...members].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return (
    <section class="panel-box" aria-labelledby="nodes-heading">
      <div class="box-head">
        <h2 id="nodes-heading">{n.heading}</h2>
        <span class="meta">{n.summary(members.filter((member) => member.state === "ACTIVE").length, members.length)}</span>
      </div>
      {sorted.length === 0 ? (
        <p class="empty">{n.none}</p>
      ) : (
        <table class="plain nodes">
          <thead>
            <tr>
              <th scope="col">{n.name}</th>
              <th scope="col">{n.version}</th>
              <th scope="col">{n.state}</th>
              <th scope="col" class="number">{n.tasks}</th>
              <th scope="col" class="number">{n.users}</th>
              <th scope="col" class="number">{n.load}</th>
              <th scope="col" class="act">
                <span class="hidden">{n.takeBack.button}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {sorted.map((member) => (
              <tr key={member.id}>
                <th scope="row" data-label={n.name}>
                  {member.name} <span class="meta">{member.host}</span>
                </th>
                <td data-label={n.version}>
                  <span>
                    {member.version} {member.version !== clusterVersion && <Badge tone="busy">{n.target}</Badge>}
                  </span>
                </td>
                <td data-label={n.state}>
                  <span>
                    <Badge tone={stateTones[member.state] ?? "bad"}>{words.nodeStates[member.state] ?? member.state}</Badge>
                    {!member.leaseLive && member.state !== "OFFLINE" && <span class="meta"> {n.silent}</span>}
                  </span>
                </td>
                <td data-label={n.tasks} class="number">{member.tasksRunning}</td>
                <td data-label={n.users} class="number">{member.activeUsers}</td>
                <td data-label={n.load} class="number">{Math.round(member.load * 100)} %</td>
                <td class="act">
                  {steered && member.version !== clusterVersion && (
                    <button type="button" class="button quiet small" aria-label={n.takeBack.title(member.name, clusterVersion).replace("?", "")} onClick={() => ask(member.name)}>
                      {n.takeBack.button}
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {question && <Ask question={question} onClose={() => setQuestion(null)} />}
    </section>
  );
}

