// Clustering: every node with what it does now, the conductor, the hosts and the load balancer.
import { useState } from "preact/hooks";
import { send, shapeCluster } from "./api";
import type { Cluster, Member } from "./api";
import { usePolled } from "./live";
import type { PageProps } from "./main";
import { Ask } from "./dialog";
import type { Question } from "./dialog";
import { Badge, Part, Said, Trouble, clock, duration } from "./parts";
import type { Tone } from "./parts";
import { words } from "./words";
import { clustering as w } from "./words_clustering";
import { nav } from "./words_nav";

interface Node extends Member {
  address: string;
  port: number;
  url?: string;
  configHash: string;
  startedAt: number;
  activeAt: number;
}
interface Drain {
  inFlight: number;
  streams: number;
  tasksRunning: number;
  drained: boolean;
}
interface Hosts {
  conductor: string;
  declined: string;
  problem: string;
  at: string;
  hosts: { name: string; problem: string; agentVersion: string; releases: string[]; nodes: { name: string; version: string; running: boolean }[] }[];
  balancer: { node: string; problem: string; status: string; check: string; weight: number; fullWeight: number }[];
}

const tones: Record<string, Tone> = { ACTIVE: "good", STARTING: "busy", DRAINING: "waits", TERMINATING: "waits", OFFLINE: "plain", RUNNING_FINALIZE_UPGRADE_TASKS: "busy" };
const serves = (node: Member) => node.state === "ACTIVE" && node.leaseLive;
const pathOf = (node: Member, verb = "") => `/rest/afloat/1/nodes/${encodeURIComponent(node.name)}${verb}`;

function Draining({ node }: { node: Node }) {
  const drain = usePolled<Drain>(pathOf(node, "/drain"), 2000);
  if (!drain.value) return <p class="meta node-note">{drain.error ? drain.error.message : words.loading}</p>;
  const { inFlight, streams, tasksRunning, drained } = drain.value;
  // The request that asks is one of them.
  return <p class="meta node-note">{drained ? w.drained : w.inFlight(Math.max(0, inFlight - 1), streams, tasksRunning)}</p>;
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function NodeCard({ node, all, press }: { node: Node; all: Node[]; press: (verb: "drain" | "return" | "remove", node: Node) => void }) {
  const like = (hash: string) => all.filter((each) => each.configHash === hash).length;
  const most = Math.max(...all.map((each) => like(each.configHash)));
  const config = all.length === 1 ? w.onlyConfig : like(node.configHash) === all.length ? w.sameConfig : w.mostConfig;
  const now = Date.now();
  return (
    <article class="node-card" aria-label={node.name}>
      <div class="node-head">
        <h3>{node.name}</h3>
        <Badge tone={tones[node.state] ?? "bad"}>{words.nodeStates[node.state] ?? node.state}</Badge>
        <div class="actions node-actions" role="group" aria-label={w.actionsOf(node.name)}>
          {serves(node) && (
            <button type="button" class="button quiet" onClick={() => press("drain", node)}>
              {w.drain.button}
            </button>
          )}
          {node.state === "DRAINING" && node.leaseLive && (
            <button type="button" onClick={() => press("return", node)}>
              {w.return.button}
            </button>
          )}
          {!node.leaseLive && (
            <button type="button" class="button quiet bad" onClick={() => press("remove", node)}>
              {w.remove.button}
            </button>
          )}
        </div>
      </div>
      {!node.leaseLive && <p class="meta node-note">{node.state === "OFFLINE" ? w.offline : w.silent}</p>}
      {node.state === "DRAINING" && node.leaseLive && <Draining node={node} />}
      <dl class="node-facts">
        <Fact name={w.facts.version}>
          {node.version} <span class="meta">{w.facts.build(node.build)}</span>
        </Fact>
        <Fact name={w.facts.address}>{node.url ?? `${node.address}:${node.port}`}</Fact>
        <Fact name={w.facts.host}>{node.host || "-"}</Fact>
        <Fact name={w.facts.load}>{node.leaseLive ? `${Math.round(node.load * 100)} %` : "-"}</Fact>
        <Fact name={w.facts.users}>{node.leaseLive ? node.activeUsers : "-"}</Fact>
        <Fact name={w.facts.tasks}>{node.leaseLive ? node.tasksRunning : "-"}</Fact>
        <Fact name={node.activeAt ? w.facts.since : w.facts.started}>
          {node.leaseLive ? (
            <>
              {clock(node.activeAt || node.startedAt)} <span class="meta">{w.ago(duration(Math.max(0, now - (node.activeAt || node.startedAt))))}</span>
            </>
          ) : (
            "-"
          )}
        </Fact>
        <Fact name={w.facts.config}>{like(node.configHash) < most ? <Badge tone="waits">{w.otherConfig}</Badge> : config}</Fact>
        <Fact name={w.facts.id}>{node.id}</Fact>
      </dl>
    </article>
  );
}

function Watchers({ hosts }: { hosts: Hosts }) {
  return (
    <>
      <p>
        {hosts.conductor ? <Badge tone="good">{w.leads(hosts.conductor)}</Badge> : <Said text={hosts.declined || w.none} />} <span class="meta">{w.conductorLead}</span>
      </p>
      {hosts.problem && (
        <p class="notice">
          <Said text={hosts.problem} />
        </p>
      )}
      {hosts.at && <p class="meta">{hosts.conductor ? w.seenAt(new Date(hosts.at).toLocaleTimeString("en-GB")) : w.seenLong(clock(Date.parse(hosts.at)))}</p>}
      {hosts.at && hosts.hosts.length === 0 && <p class="empty">{w.noHosts}</p>}
      {hosts.hosts.length > 0 && (
        <table class="plain nodes">
          <caption class="table-title">{w.hosts}</caption>
          <thead>
            <tr>
              <th scope="col">{w.host}</th>
              <th scope="col">{w.agent}</th>
              <th scope="col">{w.nodesThere}</th>
              <th scope="col">{w.releases}</th>
            </tr>
          </thead>
          <tbody>
            {hosts.hosts.map((host) => (
              <tr key={host.name}>
                <th scope="row">{host.name}</th>
                <td data-label={w.agent}><span class={host.problem ? "bad" : ""}>{host.problem || w.agentAnswers(host.agentVersion)}</span></td>
                <td data-label={w.nodesThere}>
                  <span>{host.nodes.map((node) => `${node.name} ${node.version}${node.running ? "" : ` (${w.stopped})`}`).join(", ") || "-"}</span>
                </td>
                <td data-label={w.releases}>
                  <span>{host.releases.join(", ") || "-"}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {hosts.balancer.length > 0 && (
        <table class="plain nodes">
          <caption class="table-title">{w.balancer}</caption>
          <thead>
            <tr>
              <th scope="col">{w.node}</th>
              <th scope="col">{w.status}</th>
              <th scope="col">{w.check}</th>
              <th scope="col" class="number">
                {w.weight}
              </th>
            </tr>
          </thead>
          <tbody>
            {hosts.balancer.map((server) => (
              <tr key={server.node}>
                <th scope="row">{server.node}</th>
                <td data-label={w.status}>
                  {server.problem ? <span class="bad">{server.problem}</span> : <Badge tone={server.status.startsWith("UP") ? "good" : "waits"}>{server.status}</Badge>}
                </td>
                <td data-label={w.check}>
                  <span>{server.check || "-"}</span>
                </td>
                <td data-label={w.weight} class="number">
                  {w.weightOf(server.weight, server.fullWeight)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

export function ClusteringPage({ go }: PageProps) {
  const cluster = usePolled<Cluster>("/rest/afloat/1/cluster", 2000, shapeCluster);
  const hosts = usePolled<Hosts>("/rest/afloat/1/hosts", 5000);
  const [question, setQuestion] = useState<Question | null>(null);
  const [said, setSaid] = useState<{ text: string; bad: boolean } | null>(null);
  const nodes = ([...(cluster.value?.members ?? [])] as Node[]).sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  const underWay = cluster.value !== null && (cluster.value.upgradeMode === "on" || (cluster.value.run ?? 0) > 0);
  const act = async (verb: "drain" | "return" | "remove", node: Node) => {
    await (verb === "remove" ? send("DELETE", pathOf(node)) : send("POST", pathOf(node, `/${verb}`), {}));
    setSaid({ text: w[verb].done(node.name), bad: false });
    cluster.refresh();
  };
  const press = async (verb: "drain" | "return" | "remove", node: Node) => {
    const others = nodes.filter((each) => each !== node && serves(each)).length;
    if (verb === "drain")
      setQuestion({
        title: w.drain.title(node.name),
        effect: others > 0 ? w.drain.effect(others) : w.drain.last,
        confirm: w.drain.confirm,
        typed: others > 0 ? undefined : (cluster.value?.site ?? ""),
        danger: others === 0,
        act: () => act(verb, node),
      });
    else if (verb === "remove")
      setQuestion({ title: w.remove.title(node.name), effect: w.remove.effect(node.name), confirm: w.remove.confirm, typed: node.name, typedLabel: w.remove.type(node.name), danger: true, act: () => act(verb, node) });
    else
      try {
        await act(verb, node);
      } catch (error) {
        setSaid({ text: error instanceof Error ? error.message : String(error), bad: true });
      }
  };
  return (
    <>
      <h1>{nav.clustering}</h1>
      <p class="lead">{w.lead}</p>
      <Trouble error={cluster.error} />
      {underWay && (
        <p class="notice">
          {w.toUpgrade}{" "}
          <a
            href="/admin/upgrade"
            onClick={(event) => {
              event.preventDefault();
              go("/admin/upgrade");
            }}
          >
            {w.goThere}
          </a>
        </p>
      )}
      <div class="said" aria-live="polite">{said && <p class={`notice ${said.bad ? "notice-bad" : "notice-good"}`}>{said.bad ? <Said text={said.text} /> : said.text}</p>}</div>
      <Part id="nodes" title={words.nodes.heading} from={{ ...cluster, error: null }} lines={12} rem={44}>
        {(value) => (
          <>
            <p class="meta">
              {w.summary(nodes.filter(serves).length, nodes.length)}. {w.version}: {value.clusterVersion ?? "-"}
            </p>
            {nodes.length === 0 && <p class="empty">{words.nodes.none}</p>}
            {nodes.map((node) => (
              <NodeCard key={node.id} node={node} all={nodes} press={(verb, which) => void press(verb, which)} />
            ))}
          </>
        )}
      </Part>
      <Part id="conductor" title={w.conductor} from={hosts} lines={6}>
        {(value) => <Watchers hosts={value} />}
      </Part>
      <p class="meta">
        <Said text={w.onCommandLine} />
      </p>
      {question && <Ask question={question} onClose={() => setQuestion(null)} />}
    </>
  );
}
