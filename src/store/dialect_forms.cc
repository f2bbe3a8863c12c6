#include "store/dialect.h"

namespace afloat::store {

namespace {

// The first step decides: where it gives no row, the others are not run. @1 and @2 are columns of its row.
constexpr std::string_view index_create =
    "insert into page_search (page_id, title_words, words, plain, version) values (@1, $12, $11, $10, @2)";
constexpr std::string_view create_page =
    "insert into page (id, space_id, parent_id, position, title, version, status, created_by, updated_by)"
    " select coalesce($1::bigint, next_page_id()), s.id, q.id,"
    "  case when $3::bigint is not null and q.id is null then null"
    "       else coalesce((select max(c.position) + 1 from page c where c.parent_id = q.id), 0) end,"
    "  $4, 1, 'current', $6::bigint, $6::bigint"
    "  from (select 1) one left join space s on lower(s.key) = lower($2)"
    "  left join page q on q.id = coalesce($3::bigint, s.homepage_id) and q.space_id = s.id and q.status = 'current'"
    " returning id, version";
constexpr std::string_view save_page =
    "update page set title = $3, version = version + 1, updated_by = $5::bigint, updated_at = now()"
    " where id = $1::bigint and version = $2::integer and status = 'current' returning id, version";
constexpr std::string_view save_and_move_page =
    "with recursive up as ("
    "  select q.id, q.parent_id, 1 as depth from page q join page me on me.id = $1::bigint and me.space_id = q.space_id"
    "   where q.id = $6::bigint and q.status = 'current'"
    "  union all"
    "  select q.id, q.parent_id, up.depth + 1 from up join page q on q.id = up.parent_id where up.depth < 200)"
    " update page set title = $3, version = version + 1, updated_by = $5::bigint, updated_at = now(),"
    "  parent_id = $6::bigint,"
    "  position = coalesce((select max(c.position) + 1 from page c where c.parent_id = $6::bigint), 0)"
    "  where id = $1::bigint and version = $2::integer and status = 'current'"
    "   and exists (select 1 from up) and not exists (select 1 from up where up.id = $1::bigint)"
    " returning id, version";
constexpr std::string_view move_page =
    "with recursive place as ("
    "  select case when $3 = 'append' then q.id else q.parent_id end as parent_id,"
    "   case $3 when 'append' then coalesce((select max(c.position) + 1 from page c where c.parent_id = q.id), 0)"
    "    when 'before' then q.position else q.position + 1 end as position"
    "   from page q join page me on me.id = $1::bigint and me.space_id = q.space_id"
    "   where q.id = $2::bigint and q.status = 'current' and q.id <> me.id),"
    " up as ("
    "  select q.id, q.parent_id, 1 as depth from page q join place on place.parent_id = q.id"
    "  union all"
    "  select q.id, q.parent_id, up.depth + 1 from up join page q on q.id = up.parent_id where up.depth < 200)"
    " update page set parent_id = (select place.parent_id from place), position = (select place.position from place)"
    "  where id = $1::bigint and status = 'current' and (select place.parent_id from place) is not null"
    "   and not exists (select 1 from up where up.id = $1::bigint)"
    "   and not exists (select 1 from space s where s.homepage_id = $1::bigint)"
    " returning id, parent_id, position";
constexpr std::string_view make_room =
    "update page set position = position + 1 where parent_id = @2 and id <> @1"
    " and (position > @3 or (position = @3 and not ($3 = 'before' and id < $2::bigint)"
    "  and ($3 <> 'after' or id <> $2::bigint)))";

}  // namespace

std::span<const SqliteForm> sqlite_forms() {
  static const std::vector<SqliteForm> forms = {
      {"a new page",
       "ff88fa2b744300dd",
       {create_page,
        "insert into page_body (hash, size, data) values ($7::bytea, $8::bigint, $9::bytea)"
        " on conflict (hash) do update set doomed_at = null where page_body.doomed_at is not null",
        "insert into page_version (page_id, number, title, body_hash, message, author, words_added, words_removed)"
        " values (@1, @2, $4, $7::bytea, $5, $6::bigint, $13::integer, $14::integer)",
        index_create}},
      {"a new home page",
       "241415c2587c9eb0",
       {"insert into page (id, space_id, position, title, version, status, created_by, updated_by)"
        " select s.homepage_id, s.id, 0, $2, 1, 'current', $3::bigint, $3::bigint"
        " from space s where lower(s.key) = lower($1) returning id, version",
        "insert into page_body (hash, size, data) values ($4::bytea, $5::bigint, $6::bytea)"
        " on conflict (hash) do update set doomed_at = null where page_body.doomed_at is not null",
        "insert into page_version (page_id, number, title, body_hash, author, words_added, words_removed)"
        " values (@1, @2, $2, $4::bytea, $3::bigint, $10::integer, $11::integer)",
        "insert into page_search (page_id, title_words, words, plain, version) values (@1, $9, $8, $7, @2)"}},
      {"a saved page",
       "5388b067f1046c9f",
       {save_page,
        "insert into page_body (hash, size, data) values ($6::bytea, $7::bigint, $8::bytea)"
        " on conflict (hash) do update set doomed_at = null where page_body.doomed_at is not null",
        "insert into page_version (page_id, number, title, body_hash, message, author, words_added, words_removed)"
        " values (@1, @2, $3, $6::bytea, $4, $5::bigint, $12::integer, $13::integer)",
        "insert into page_search (page_id, title_words, words, plain, version) values (@1, $11, $10, $9, @2)"
        " on conflict (page_id) do update set title_words = excluded.title_words, words = excluded.words,"
        " plain = excluded.plain, version = excluded.version"}},
      {"a page that is saved below another one",
       "97b5dc14be04cea5",
       {save_and_move_page,
        "insert into page_body (hash, size, data) values ($7::bytea, $8::bigint, $9::bytea)"
        " on conflict (hash) do update set doomed_at = null where page_body.doomed_at is not null",
        "insert into page_version (page_id, number, title, body_hash, message, author, words_added, words_removed)"
        " values (@1, @2, $3, $7::bytea, $4, $5::bigint, $13::integer, $14::integer)",
        "insert into page_search (page_id, title_words, words, plain, version) values (@1, $12, $11, $10, @2)"
        " on conflict (page_id) do update set title_words = excluded.title_words, words = excluded.words,"
        " plain = excluded.plain, version = excluded.version"}},
      {"a moved page", "dc9447a15ed79ac8", {move_page, make_room}},
      {"a page in the trash",
       "6ad56716df617507",
       {"update page set status = 'trashed', updated_by = $2::bigint, updated_at = now()"
        " where id = $1::bigint and status = 'current'"
        "  and not exists (select 1 from space where space.homepage_id = $1::bigint) returning id",
        "update page set parent_id = (select t.parent_id from page t where t.id = @1) where parent_id = @1"}},
      {"page ids for an import",
       "11e011e5dee3a6cc",
       {"with recursive one (n) as (select 1 union all select n + 1 from one where n < $1::integer)"
        " select next_page_id() from one"}},
      {"pages by their titles",
       "df8ba23116b0c79e",
       {"select json_extract(w.value, '$.n'), p.id from json_each($1) w"
        " join space s on lower(s.key) = lower(json_extract(w.value, '$.k'))"
        " join page p on p.space_id = s.id and lower(p.title) = lower(json_extract(w.value, '$.t'))"
        "  and p.status = 'current'"}},
      {"labels",
       "63407b30da35f269",
       {"insert into label (page_id, prefix, name)"
        " select p.id, json_extract(w.value, '$.p'), json_extract(w.value, '$.n') from page p, json_each($2) w"
        " where p.id = $1::bigint and p.status = 'current' on conflict do nothing"}},
      {"an upload",
       "232353993526e346",
       {"insert into attachment (page_id, file_name, created_by)"
        " select p.id, $2, $7::bigint from page p where p.id = $1::bigint and p.status = 'current'"
        " on conflict (page_id, file_name) where status = 'current'"
        " do update set version = attachment.version + 1 where $8::boolean returning id, version",
        "insert into blob (digest, size) values ($3, $4::bigint) on conflict (digest) do update set state = 'live'",
        "insert into attachment_version (attachment_id, number, digest, size, media_type, comment, author)"
        " values (@1, @2, $3, $4::bigint, $5, $6, $7::bigint)"}},
      {"a new version of an attachment",
       "7a56fe54518e7f7d",
       {"update attachment set version = version + 1 where id = $1::bigint and status = 'current' returning id, "
        "version",
        "insert into blob (digest, size) values ($2, $3::bigint) on conflict (digest) do update set state = 'live'",
        "insert into attachment_version (attachment_id, number, digest, size, media_type, comment, author)"
        " values (@1, @2, $2, $3::bigint, $4, $5, $6::bigint)"}},
      {"a session",
       "17a4178b4e537352",
       {"delete from session where user_id = $2::bigint and expires_at < now()",
        "insert into session (id_hash, user_id, csrf, expires_at)"
        " values ($1::bytea, $2::bigint, $3, now() + make_interval(secs => $4::double precision)) on conflict do "
        "nothing"}},
      {"a verified password",
       "1cf12324612ca441",
       {"delete from verified_credential where expires_at < now() and digest <> $1::bytea",
        "insert into verified_credential (digest, user_id, password_digest, expires_at)"
        " values ($1::bytea, $2::bigint, encode(sha256(convert_to($3, 'UTF8')), 'hex'),"
        "  now() + make_interval(secs => $4::double precision))"
        " on conflict (digest) do update set user_id = excluded.user_id, password_digest = excluded.password_digest,"
        "  expires_at = excluded.expires_at"}},
      {"a changed user",
       "3f1ae2c062cfcb76",
       {"update app_user set full_name = $2, email = $3, administrator = $4::boolean where id = $1::bigint"
        " and ($4::boolean or not administrator"
        "  or exists (select 1 from app_user a where a.administrator and a.id <> $1::bigint)) returning id"}},
      // One writer: what has a number is committed, so the next number is where a poll goes on.
      {"where the change log begins",
       "5aa602c48c49c2da",
       {"select coalesce((select max(seq) from change_log), 0) + 1"}},
      {"what is new in the change log",
       "cd4041b8ad6ffb74",
       {"select h.next, c.seq, c.kind, c.key from (select coalesce((select max(seq) from change_log), 0) + 1 as next) h"
        " left join change_log c on c.seq >= $1::bigint order by c.seq"}},
  };
  return forms;
}

}  // namespace afloat::store
