#include "rollout/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>

#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::rollout {
namespace {

namespace json = boost::json;

struct Flag {
  std::string_view name;
  bool Options::* field;
};
constexpr auto flags = std::to_array<Flag>({
    {"hold_before_finalize", &Options::hold_before_finalize},
    {"finalize_intermediate", &Options::finalize_intermediate},
    {"offline", &Options::offline},
    {"backup", &Options::backup},
    {"notes_recorded", &Options::notes_recorded},
    {"chain", &Options::chain},
});

struct Number {
  std::string_view name;
  std::int64_t Options::* field;
  std::int64_t highest;
};
constexpr std::int64_t a_day_ms = 86'400'000;
constexpr std::int64_t latest_ms = 253'402'300'799'000;  // the end of the year 9999
constexpr auto numbers = std::to_array<Number>({
    {"drain_deadline_ms", &Options::drain_deadline_ms, a_day_ms},
    {"active_deadline_ms", &Options::active_deadline_ms, a_day_ms},
    {"ok_to_stop_deadline_ms", &Options::ok_to_stop_deadline_ms, a_day_ms},
    {"soak_ms", &Options::soak_ms, a_day_ms},
    {"failure_budget", &Options::failure_budget, 100},
    {"not_before_ms", &Options::not_before_ms, latest_ms},
    {"not_after_ms", &Options::not_after_ms, latest_ms},
});

constexpr auto policies = std::to_array<std::pair<OnFailure, std::string_view>>({
    {OnFailure::pause, "pause"},
    {OnFailure::cancel, "cancel"},
});

constexpr auto surges = std::to_array<std::pair<Surge, std::string_view>>({
    {Surge::never, "never"},
    {Surge::when_needed, "when_needed"},
    {Surge::always, "always"},
});

/// Kept in the same JSON: what people asked of the running run, and what the conductor remembers of it.
constexpr auto notes = std::to_array<std::string_view>({"requests", "memory"});

std::optional<double> number_in(const json::value& value) {
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  if (value.is_double()) return value.get_double();
  return std::nullopt;
}

std::string known_names() {
  std::vector<std::string> names;
  for (const auto& flag : flags) names.emplace_back(flag.name);
  for (const auto& number : numbers) names.emplace_back(number.name);
  names.emplace_back("max_load");
  names.emplace_back("on_failure");
  names.emplace_back("surge");
  return join(names, ", ");
}

Result<void> read_option(Options& options, std::string_view name, const json::value& value) {
  if (const auto flag = std::ranges::find(flags, name, &Flag::name); flag != flags.end()) {
    if (!value.is_bool())
      return fail(ErrorKind::invalid_argument, fmt::format("option {} must be true or false", name));
    options.*flag->field = value.get_bool();
    return {};
  }
  const auto given = number_in(value);
  const auto in_range = [&](double highest) -> Result<void> {
    if (given && *given >= 0 && *given <= highest) return {};
    return fail(ErrorKind::invalid_argument, fmt::format("option {} must be a number from 0 to {:.0f}", name, highest));
  };
  if (const auto number = std::ranges::find(numbers, name, &Number::name); number != numbers.end()) {
    if (auto fits = in_range(static_cast<double>(number->highest)); !fits) return fits;
    options.*number->field = static_cast<std::int64_t>(*given);
    return {};
  }
  if (name == "max_load") {
    if (auto fits = in_range(1); !fits) return fits;
    options.max_load = *given;
    return {};
  }
  if (name == "on_failure") {
    for (const auto& [policy, word] : policies)
      if (value.is_string() && value.get_string() == word) {
        options.on_failure = policy;
        return {};
      }
    return fail(ErrorKind::invalid_argument, "option on_failure must be \"pause\" or \"cancel\"");
  }
  if (name == "surge") {
    const auto surge = value.is_string() ? surge_from(std::string_view(value.get_string())) : std::nullopt;
    if (!surge)
      return fail(ErrorKind::invalid_argument, "option surge must be \"never\", \"when_needed\" or \"always\"");
    options.surge = *surge;
    return {};
  }
  if (std::ranges::find(notes, name) != notes.end()) return {};
  return fail(ErrorKind::invalid_argument, fmt::format("unknown option \"{}\"; there are {}", name, known_names()));
}

}  // namespace

std::string_view to_string(OnFailure policy) {
  for (const auto& [value, word] : policies)
    if (value == policy) return word;
  return "pause";
}

std::string_view to_string(Surge surge) {
  for (const auto& [value, word] : surges)
    if (value == surge) return word;
  return "never";
}

std::optional<Surge> surge_from(std::string_view text) {
  for (const auto& [value, word] : surges)
    if (word == text) return value;
  return std::nullopt;
}

Result<Options> parse_options(std::string_view text) {
  Options options;
  if (text.empty()) return options;
  auto object = parse_json_object(text, "the run's options");
  if (!object) return std::unexpected(object.error());
  for (const auto& [key, value] : *object)
    if (auto read = read_option(options, key, value); !read) return std::unexpected(read.error());
  return options;
}

Options stored_options(std::string_view text) {
  Options options;
  const auto object = parse_json_object(text, "the run's options");
  if (!object) return options;
  for (const auto& [key, value] : *object) {
    auto read = read_option(options, key, value);
    (void)read;
  }
  return options;
}

std::string to_json(const Options& options) {
  json::object out;
  for (const auto& flag : flags) out[flag.name] = options.*flag.field;
  for (const auto& number : numbers)
    if (options.*number.field >= 0) out[number.name] = options.*number.field;
  out["max_load"] = options.max_load;
  out["on_failure"] = to_string(options.on_failure);
  out["surge"] = to_string(options.surge);
  return json::serialize(out);
}

}  // namespace afloat::rollout
