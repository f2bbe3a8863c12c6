#pragma once

namespace CLI {
class App;
}

/// Each group of subcommands adds itself to the program; its callbacks set `exit_code`
/// (0 ok, 1 error, 2 usage, 3 downtime needed, 4 a check failed, 78 refused by admission).
namespace afloat::cli {

void add_serve_command(CLI::App& app, int& exit_code);
void add_status_commands(CLI::App& app, int& exit_code);    // status, nodes
void add_check_command(CLI::App& app, int& exit_code);
void add_events_command(CLI::App& app, int& exit_code);
void add_users_commands(CLI::App& app, int& exit_code);     // users list|add|reset-password|...
void add_settings_commands(CLI::App& app, int& exit_code);  // settings, hosts
void add_support_command(CLI::App& app, int& exit_code);    // support zip
void add_upgrade_commands(CLI::App& app, int& exit_code);   // upgrade plan|run|status|report|cancel|resume and those below
void add_conductor_command(CLI::App& app, int& exit_code);
void add_agent_command(CLI::App& app, int& exit_code);
void add_release_commands(CLI::App& app, int& exit_code);   // releases list|show|verify|pack|keygen|sign|index|fetch
void add_import_command(CLI::App& app, int& exit_code);
void add_load_command(CLI::App& app, int& exit_code);       // load, report
void add_up_command(CLI::App& app, int& exit_code);
void add_demo_command(CLI::App& app, int& exit_code);
void add_simulate_command(CLI::App& app, int& exit_code);

void add_path_commands(CLI::App& upgrade, int& exit_code);      // upgrade path|policy
void add_notes_command(CLI::App& upgrade, int& exit_code);      // upgrade notes
void add_history_command(CLI::App& upgrade, int& exit_code);    // upgrade history
void add_expand_command(CLI::App& upgrade, int& exit_code);
void add_finalize_commands(CLI::App& upgrade, int& exit_code);  // upgrade finalize|retry

}  // namespace afloat::cli
