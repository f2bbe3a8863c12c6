// Users and groups: who may sign in, and who is an administrator.
import { useState } from "preact/hooks";
import { post, send } from "./api";
import { useAsked } from "./asked";
import { FormAsk } from "./form_ask";
import type { Field, FormQuestion } from "./form_ask";
import { Ask } from "./dialog";
import type { Question } from "./dialog";
import { Badge, Said, Trouble, Waiting } from "./parts";
import { nav } from "./words_nav";
import { users as w } from "./words_users";

interface User {
  id: number;
  userName: string;
  fullName: string;
  email: string;
  administrator: boolean;
  /** null: never. Nodes before 1.4 do not tell it. */
  lastSeenAt?: number | null;
}
interface Users {
  results: User[];
  total: number;
  start: number;
}
const pageSize = 25;
const pathOf = (user: User, more = "") => `/rest/afloat/1/users/${encodeURIComponent(user.userName)}${more}`;
const passwordField: Field = { name: "password", label: w.newPassword, type: "password", required: true, minLength: 8, hint: w.passwordHint };
const day = (ms: number) => new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
const lastHere = ({ lastSeenAt }: User) => (lastSeenAt === undefined ? "-" : lastSeenAt === null ? w.never : day(lastSeenAt));
const ownName = document.querySelector(".bar-user .user")?.textContent ?? "";

type Asking = { form: FormQuestion } | { question: Question } | null;

export function UsersPage() {
  const [draft, setDraft] = useState("");
  const [text, setText] = useState("");
  const [only, setOnly] = useState(false);
  const [start, setStart] = useState(0);
  const [asking, setAsking] = useState<Asking>(null);
  const [said, setSaid] = useState("");
  const found = useAsked<Users>(`/rest/afloat/1/users?start=${start}&limit=${pageSize}&text=${encodeURIComponent(text)}${only ? "&administrators=true" : ""}`);
  const all = useAsked<Users>("/rest/afloat/1/users?limit=1");
  const administrators = useAsked<Users>("/rest/afloat/1/users?limit=1&administrators=true");
  const done = (what: string) => {
    setSaid(what);
    found.refresh();
    all.refresh();
    administrators.refresh();
  };
  const details = (user?: User): Field[] => [
    { name: "fullName", label: w.fullName, value: user?.fullName },
    { name: "email", label: w.email, type: "email", value: user?.email },
  ];
  const add = () =>
    setAsking({
      form: {
        title: w.add,
        fields: [{ name: "userName", label: w.name, required: true, hint: w.nameHint }, ...details(), passwordField, { name: "administrator", label: w.makeAdministrator, type: "checkbox", hint: w.makeAdministratorHint }],
        confirm: w.add,
        showPassword: w.showPassword,
        act: async (filled) => {
          const userName = (filled.userName ?? "").trim();
          await post("/rest/api/admin/user", { ...filled, userName, fullName: (filled.fullName ?? "").trim() || userName, administrator: filled.administrator === "true" });
          done(w.done.add(userName));
        },
      },
    });
  const edit = (user: User) =>
    setAsking({
      form: {
        title: w.editTitle(user.userName),
        fields: details(user),
        confirm: w.save,
        act: async ({ fullName, email }) => {
          await send("PUT", pathOf(user), { fullName, email });
          done(w.done.edit(user.userName));
        },
      },
    });
  const reset = (user: User) =>
    setAsking({
      form: {
        title: w.passwordTitle(user.userName),
        lead: w.passwordLead,
        fields: [passwordField],
        confirm: w.password,
        showPassword: w.showPassword,
        act: async ({ password }) => {
          await post(pathOf(user, "/password"), { password });
          done(w.done.password(user.userName));
        },
      },
    });
  const change = (user: User) => {
    const making = !user.administrator;
    setAsking({
      question: {
        title: making ? w.makeTitle(user.userName) : w.revokeTitle(user.userName),
        effect: making ? w.makeEffect(user.userName) : w.revokeEffect(user.userName, ownName === (user.fullName || user.userName)),
        confirm: making ? w.make : w.revoke,
        danger: !making,
        act: async () => {
          await send("PUT", pathOf(user), { administrator: making });
          done(making ? w.done.make(user.userName) : w.done.revoke(user.userName));
        },
      },
    });
  };
  const rows = found.value?.results ?? [];
  const total = found.value?.total ?? 0;
  return (
    <>
      <h1>{nav.users}</h1>
      <p class="lead">{w.lead}</p>
      <form
        class="panel-box tools"
        role="search"
        aria-label={nav.users}
        onSubmit={(event) => {
          event.preventDefault();
          setStart(0);
          setText(draft.trim());
          found.refresh();
        }}
      >
        <div class="field">
          <label for="users-text">{w.search}</label>
          <input id="users-text" value={draft} maxLength={200} onInput={(event) => setDraft(event.currentTarget.value)} />
        </div>
        <label class="tick">
          <input
            type="checkbox"
            checked={only}
            onChange={(event) => {
              setOnly(event.currentTarget.checked);
              setStart(0);
            }}
          />
          {w.only}
        </label>
        <div class="actions">
          <button type="submit" class="button quiet">
            {w.find}
          </button>
          <button type="button" onClick={add}>
            {w.add}
          </button>
        </div>
      </form>
      <div class="said" aria-live="polite">{said && <p class="notice notice-good">{said}</p>}</div>
      <Trouble error={found.error} />
      <section class="panel-box" aria-label={nav.users} aria-busy={found.busy}>
        {found.value ? (
          <>
            <p class="meta" role="status">
              {w.shown(start + 1, start + rows.length, total)}
            </p>
            {rows.length === 0 ? (
              <p class="empty">{w.none}</p>
            ) : (
              <table class="plain nodes">
                <thead>
                  <tr>
                    <th scope="col">{w.shortName}</th>
                    <th scope="col">{w.right}</th>
                    <th scope="col">{w.lastHere}</th>
                    <th scope="col">
                      <span class="hidden">{w.actions("")}</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map((user) => (
                    <tr key={user.id}>
                      <th scope="row" class="user-name">
                        <span>
                          {user.userName}
                          {user.fullName !== user.userName && <span class="meta">{user.fullName}</span>}
                          {user.email && <span class="meta">{user.email}</span>}
                        </span>
                      </th>
                      <td data-label={w.right}>{user.administrator ? <Badge tone="busy">{w.administrator}</Badge> : <span>{w.user}</span>}</td>
                      <td data-label={w.lastHere}>
                        <span>{lastHere(user)}</span>
                      </td>
                      <td class="row-actions">
                        <div class="actions" role="group" aria-label={w.actions(user.userName)}>
                          <button type="button" class="small" onClick={() => edit(user)}>
                            {w.edit}
                          </button>
                          <button type="button" class="small" onClick={() => reset(user)}>
                            {w.password}
                          </button>
                          <button type="button" class="small" onClick={() => change(user)}>
                            {user.administrator ? w.revoke : w.make}
                          </button>
                        </div>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
            {total > pageSize && (
              <div class="actions pager">
                <button type="button" class="button quiet" disabled={start === 0 || found.busy} onClick={() => setStart(Math.max(0, start - pageSize))}>
                  {w.previous}
                </button>
                <button type="button" class="button quiet" disabled={start + rows.length >= total || found.busy} onClick={() => setStart(start + pageSize)}>
                  {w.next}
                </button>
              </div>
            )}
          </>
        ) : (
          !found.error && <Waiting lines={40} />
        )}
      </section>
      <section class="panel-box" aria-labelledby="groups">
        <h2 id="groups">{w.groups}</h2>
        <p>{w.groupsLead}</p>
        <table class="plain nodes">
          <thead>
            <tr>
              <th scope="col">{w.group}</th>
              <th scope="col">{w.meaning}</th>
              <th scope="col" class="number">
                {w.members}
              </th>
            </tr>
          </thead>
          <tbody>
            {[
              { name: "users", meaning: w.groupUsers, count: all.value?.total },
              { name: "administrators", meaning: w.groupAdministrators, count: administrators.value?.total },
            ].map((group) => (
              <tr key={group.name}>
                <th scope="row">{group.name}</th>
                <td data-label={w.meaning}>
                  <span>{group.meaning}</span>
                </td>
                <td data-label={w.members} class="number">
                  {group.count ?? "-"}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <p class="meta">
        <Said text={w.onCommandLine} />
      </p>
      {asking && "form" in asking && <FormAsk question={asking.form} onClose={() => setAsking(null)} />}
      {asking && "question" in asking && <Ask question={asking.question} onClose={() => setAsking(null)} />}
    </>
  );
}
