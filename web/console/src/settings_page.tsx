// General settings: what of site.toml is in force. It is read here and changed there.
import { useAsked } from "./asked";
import { Badge, Part, Said } from "./parts";
import { nav } from "./words_nav";
import { settings as w } from "./words_settings";

interface Settings {
  node: string;
  file: string;
  clustered: boolean;
  settings: { group: string; key: string; value: string; about: string }[];
  unknown: string[];
  nodes: { name: string; host: string; configHash: string; sameFile: boolean; settingsKnown: boolean; differs: string[] }[];
}

function Groups({ answer }: { answer: Settings }) {
  const groups = [...new Set(answer.settings.map((each) => each.group))];
  return (
    <>
      <p>{answer.clustered ? w.clustered : w.single}</p>
      <p class="meta">
        <Said text={w.how(answer.file, answer.node)} />
      </p>
      {answer.unknown.length > 0 && (
        <div class="notice">
          <strong>{w.unknown}</strong>
          <ul>
            {answer.unknown.map((each) => (
              <li key={each}>{each}</li>
            ))}
          </ul>
        </div>
      )}
      {groups.map((group) => (
        <div key={group}>
          <h3>{group}</h3>
          <dl class="settings">
            {answer.settings
              .filter((each) => each.group === group)
              .map((each) => (
                <div key={each.key}>
                  <dt>
                    <code>{each.key}</code>
                  </dt>
                  <dd>
                    {each.value ? <span class="setting-value">{each.value}</span> : <span class="setting-none">{w.notGiven}</span>}
                    <span class="meta">{each.about}</span>
                  </dd>
                </div>
              ))}
          </dl>
        </div>
      ))}
    </>
  );
}

export function SettingsPage() {
  const answer = useAsked<Settings>("/rest/afloat/1/settings");
  return (
    <>
      <h1>{nav.settings}</h1>
      <p class="lead">{w.lead}</p>
      <Part id="settings" title={nav.configuration} from={answer} lines={30}>
        {(value) => <Groups answer={value} />}
      </Part>
      <Part id="files" title={w.nodes} from={{ ...answer, error: null }} lines={5}>
        {(value) => (
          <>
            <p>{w.nodesLead(value.node)}</p>
            <table class="plain nodes">
              <thead>
                <tr>
                  <th scope="col">{w.node}</th>
                  <th scope="col">{w.file}</th>
                  <th scope="col">{w.hash}</th>
                  <th scope="col">{w.values}</th>
                </tr>
              </thead>
              <tbody>
                {value.nodes.map((node) => (
                  <tr key={node.name}>
                    <th scope="row">
                      {node.name} <span class="meta">{node.host}</span>
                    </th>
                    <td data-label={w.file}>{node.sameFile ? <span>{w.same}</span> : <Badge tone="waits">{w.other}</Badge>}</td>
                    <td data-label={w.hash}>
                      <code>{node.configHash.slice(0, 12) || "-"}</code>
                    </td>
                    <td data-label={w.values}>
                      <span>{!node.settingsKnown ? w.unknownValues : node.differs.length > 0 ? w.differs(node.differs.join(", ")) : w.sameValues}</span>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </>
        )}
      </Part>
      <p class="meta">
        <Said text={w.onCommandLine} />
      </p>
    </>
  );
}
