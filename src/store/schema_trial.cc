#include <array>

#include "store/dialect.h"

namespace afloat::store {

namespace {

// What all upgrade tasks up to 1.2.0 together make of the tables of schema_content.cc, in SQLite's words. Times are
// integers, microseconds since 1970.
constexpr auto statements = std::to_array<std::string_view>({
    // What a node reads of a cluster's state; here it is always the same.
    R"(create table cluster_state (
         only_row integer primary key check (only_row = 1),
         cluster_version text not null,
         gates integer not null))",

    R"(create table change_log (
         seq integer primary key autoincrement,
         kind text not null,
         key text not null))",

    R"(create table app_user (
         id integer primary key autoincrement,
         name text not null,
         full_name text not null default '',
         email text not null default '',
         password_hash text not null,
         administrator integer not null default 0,
         created_at integer not null default (now())))",
    "create unique index app_user_name on app_user (lower(name))",

    R"(create table session (
         id_hash blob primary key,
         user_id integer not null references app_user (id) on delete cascade,
         csrf text not null,
         created_at integer not null default (now()),
         expires_at integer not null,
         last_seen integer not null default (now())))",
    "create index session_by_user on session (user_id)",

    R"(create table access_token (
         token_hash blob primary key,
         user_id integer not null references app_user (id) on delete cascade,
         name text not null,
         created_at integer not null default (now()),
         expires_at integer))",

    R"(create table verified_credential (
         digest blob primary key,
         user_id integer not null references app_user (id) on delete cascade,
         password_digest text not null,
         expires_at integer not null))",

    R"(create table space (
         id integer primary key autoincrement,
         key text not null,
         name text not null,
         description text not null default '',
         homepage_id integer,
         created_by integer,
         created_at integer not null default (now())))",
    "create unique index space_key on space (lower(key))",

    R"(create table page (
         id integer primary key autoincrement,
         space_id integer not null references space (id),
         parent_id integer,
         position integer not null default 0,
         title text not null,
         version integer not null default 1,
         status text not null default 'current',
         created_by integer,
         created_at integer not null default (now()),
         updated_by integer,
         updated_at integer not null default (now())))",
    "create unique index page_title on page (space_id, lower(title)) where status = 'current'",
    "create index page_title_anywhere on page (lower(title))",
    "create index page_parent on page (parent_id, position, id)",
    "create index page_recent on page (space_id, updated_at)",
    "create index page_updated on page (updated_at)",

    R"(create table page_body (
         hash blob primary key,
         size integer not null,
         data blob not null,
         created_at integer not null default (now()),
         doomed_at integer))",

    R"(create table page_version (
         id integer primary key autoincrement,
         page_id integer not null references page (id) on delete cascade,
         number integer not null,
         title text not null,
         body_hash blob not null references page_body (hash),
         message text not null default '',
         author integer,
         created_at integer not null default (now())))",
    "create unique index page_version_number on page_version (page_id, number)",
    "create index page_version_body_hash on page_version (body_hash)",

    R"(create table page_search (
         page_id integer primary key references page (id) on delete cascade,
         title_words text not null,
         words text not null,
         plain text not null,
         version integer not null))",
    // The words as they are, and their stems. Both keep no text of their own, so each change tells them the old one
    // too.
    R"(create virtual table page_words using fts5 (title_words, words, content = 'page_search', content_rowid = 'page_id',
         tokenize = 'unicode61 remove_diacritics 0'))",
    R"(create virtual table page_stems using fts5 (title_words, words, content = 'page_search', content_rowid = 'page_id',
         tokenize = 'porter unicode61 remove_diacritics 0'))",
    R"(create trigger page_search_added after insert on page_search begin
         insert into page_words (rowid, title_words, words) values (new.page_id, new.title_words, new.words);
         insert into page_stems (rowid, title_words, words) values (new.page_id, new.title_words, new.words);
       end)",
    R"(create trigger page_search_removed after delete on page_search begin
         insert into page_words (page_words, rowid, title_words, words)
           values ('delete', old.page_id, old.title_words, old.words);
         insert into page_stems (page_stems, rowid, title_words, words)
           values ('delete', old.page_id, old.title_words, old.words);
       end)",
    R"(create trigger page_search_changed after update on page_search begin
         insert into page_words (page_words, rowid, title_words, words)
           values ('delete', old.page_id, old.title_words, old.words);
         insert into page_stems (page_stems, rowid, title_words, words)
           values ('delete', old.page_id, old.title_words, old.words);
         insert into page_words (rowid, title_words, words) values (new.page_id, new.title_words, new.words);
         insert into page_stems (rowid, title_words, words) values (new.page_id, new.title_words, new.words);
       end)",

    R"(create table label (
         page_id integer not null references page (id) on delete cascade,
         prefix text not null default 'global',
         name text not null,
         primary key (page_id, prefix, name)))",
    "create index label_name on label (name, page_id)",

    R"(create table attachment (
         id integer primary key autoincrement,
         page_id integer not null references page (id) on delete cascade,
         file_name text not null,
         version integer not null default 1,
         status text not null default 'current',
         created_by integer,
         created_at integer not null default (now())))",
    "create unique index attachment_name on attachment (page_id, file_name) where status = 'current'",

    R"(create table blob (
         digest text primary key,
         size integer not null,
         state text not null default 'live',
         created_at integer not null default (now())))",

    R"(create table attachment_version (
         attachment_id integer not null references attachment (id) on delete cascade,
         number integer not null,
         digest text not null,
         size integer not null,
         media_type text not null,
         comment text not null default '',
         author integer,
         created_at integer not null default (now()),
         primary key (attachment_id, number)))",
    "create index attachment_version_digest on attachment_version (digest)",

    R"(create table long_task (
         id text primary key,
         kind text not null,
         title text not null,
         actor text not null default '',
         node text not null,
         state text not null default 'running',
         percent integer not null default 0,
         message text not null default '',
         notes text not null default '[]',
         started_at integer not null default (now()),
         updated_at integer not null default (now()),
         ended_at integer))",
    "create index long_task_started on long_task (started_at)",
});

// 1.3.0 (tasks/change_sizes.cc, tasks/drafts.cc). The sizes of older changes stay unknown in a trial.
constexpr auto changes = std::to_array<std::pair<int, std::string_view>>({
    {2, "alter table page_version add column words_added integer"},
    {2, "alter table page_version add column words_removed integer"},
    {2, R"(create table draft (
         id integer primary key autoincrement,
         author integer not null references app_user (id) on delete cascade,
         space_id integer not null references space (id) on delete cascade,
         page_id integer references page (id) on delete cascade,
         parent_id integer,
         base_version integer not null default 0,
         title text not null,
         body text not null,
         message text not null default '',
         form text not null default '',
         updated_at integer not null default (now())))"},
    {2, "create unique index draft_of_page on draft (author, page_id, form) where page_id is not null"},
    {2,
     "create unique index draft_of_new_page on draft (author, space_id, coalesce(parent_id, 0), form)"
     " where page_id is null"},
    {2, "create index draft_author on draft (author, updated_at)"},
    {2, "create index draft_page on draft (page_id)"},
    {2, "create index draft_space on draft (space_id)"},
    // 1.4.0 (tasks/last_seen.cc). Null where nobody has been here since.
    {3, "alter table app_user add column last_seen integer"},
});

}  // namespace

std::span<const std::string_view> trial_schema() { return statements; }
std::span<const std::pair<int, std::string_view>> trial_changes() { return changes; }

}  // namespace afloat::store
