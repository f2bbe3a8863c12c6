#include "rollout/series.h"

#include <gtest/gtest.h>

namespace afloat::rollout {
namespace {

NodeSample counters(std::int64_t at_ms, std::int64_t requests, std::int64_t errors, std::int64_t within_10_ms) {
  NodeSample sample;
  sample.at_ms = at_ms;
  sample.requests = requests;
  sample.errors = errors;
  sample.within_seconds = {{0.01, within_10_ms}, {0.1, requests}};
  return sample;
}

SeriesPoint point(std::int64_t at_ms, std::int64_t requests, std::int64_t errors = 0) {
  return {.at_ms = at_ms,
          .span_ms = series_every_ms,
          .requests = requests,
          .errors = errors,
          .within_seconds = {{0.01, requests}}};
}

TEST(Series, APointIsWhatWasAnsweredSinceTheOneBefore) {
  SeriesRecorder recorder;
  recorder.add(counters(10'000, 500, 3, 400));
  EXPECT_TRUE(recorder.unwritten().empty()) << "one sample alone has no rate";
  recorder.add(counters(12'000, 700, 4, 600));
  ASSERT_EQ(recorder.unwritten().size(), 1U);
  const auto plot = plot_of({{"node1", {recorder.unwritten().front()}}}, 12'000, 12'000);
  ASSERT_EQ(plot.site.size(), 1U);
  EXPECT_DOUBLE_EQ(plot.site[0]->requests_per_s, 100);
  EXPECT_DOUBLE_EQ(plot.site[0]->errors_per_s, 0.5);
  ASSERT_TRUE(plot.site[0]->p99_ms);
  EXPECT_LE(*plot.site[0]->p99_ms, 10);
}

TEST(Series, WhereNothingWasAnsweredThereIsNoTime) {
  const auto plot = plot_of({{"node1", {point(2'000, 0)}}}, 0, 2'000);
  ASSERT_EQ(plot.site.size(), 1U);
  EXPECT_EQ(plot.site[0]->requests_per_s, 0);
  EXPECT_FALSE(plot.site[0]->p99_ms);
}

TEST(Series, TheLastMinuteIsKeptUntilItIsWritten) {
  SeriesRecorder recorder;
  for (std::int64_t at = 0; at <= 100'000; at += series_every_ms) recorder.add(counters(at, at, 0, at));
  EXPECT_EQ(recorder.unwritten().front().at_ms, 40'000);
  EXPECT_EQ(recorder.unwritten().back().at_ms, 100'000);
  recorder.add(counters(102'000, 102'000, 0, 102'000));  // while the others are being written
  recorder.written(100'000);
  ASSERT_EQ(recorder.unwritten().size(), 1U);
  EXPECT_EQ(recorder.unwritten().front().at_ms, 102'000);
}

TEST(Series, AClockThatIsSetBackMakesNoPoint) {
  SeriesRecorder recorder;
  recorder.add(counters(10'000, 1, 0, 1));
  recorder.add(counters(9'000, 2, 0, 2));
  EXPECT_TRUE(recorder.unwritten().empty());
  recorder.add(counters(11'000, 5, 0, 5));
  EXPECT_EQ(recorder.unwritten().size(), 1U);
}

TEST(Series, APointIsStoredAndReadAgain) {
  const auto read = series_point_from(to_json(point(4'000, 120, 2)));
  EXPECT_EQ(read.span_ms, series_every_ms);
  EXPECT_EQ(read.requests, 120);
  EXPECT_EQ(read.errors, 2);
  EXPECT_EQ(read.within_seconds, point(0, 120).within_seconds);
  // Of a later release, or broken: nothing rather than nonsense.
  EXPECT_EQ(series_point_from("{\"within_us\":[[1],[\"a\",2],3]}").requests, 0);
  EXPECT_EQ(series_point_from("[").requests, 0);
}

std::vector<double> requests_of(const Plot::Line& line) {
  std::vector<double> requests;
  for (const auto& point : line) requests.push_back(point ? point->requests_per_s : -1);
  return requests;
}

TEST(Series, TheSiteIsTheSumOfTheNodesThatTell) {
  // node1 is not quite in step with the grid; node2 is away for a while. A point counts for three seconds.
  const auto plot = plot_of({{"node1", {point(3'900, 20), point(5'900, 20), point(7'900, 20), point(9'900, 20)}},
                             {"node2", {point(4'000, 60, 2), point(10'000, 60, 2)}}},
                            0, 13'000);
  EXPECT_EQ(plot.at_ms, (std::vector<std::int64_t>{4'000, 6'000, 8'000, 10'000, 12'000}));
  EXPECT_EQ(requests_of(plot.site), (std::vector<double>{40, 40, 10, 40, 40}));
  EXPECT_EQ(requests_of(plot.nodes.at("node1")), (std::vector<double>{10, 10, 10, 10, 10}));
  EXPECT_EQ(requests_of(plot.nodes.at("node2")), (std::vector<double>{30, 30, -1, 30, 30}));
  EXPECT_EQ(plot.site[0]->errors_per_s, 1);
}

TEST(Series, WhereNobodyTellsInBetweenThereIsAGap) {
  const auto plot = plot_of({{"node1", {point(2'000, 20), point(10'000, 20)}}}, 0, 10'000);
  EXPECT_EQ(requests_of(plot.site), (std::vector<double>{10, 10, -1, -1, 10}));
}

TEST(Series, TheSlowestOfOneNodeShowInTheTimeOfTheSite) {
  auto slow = point(2'000, 10);
  slow.within_seconds = {{0.01, 0}, {1.0, 10}};
  const auto plot = plot_of({{"node1", {point(2'000, 90)}}, {"node2", {slow}}}, 0, 2'000);
  ASSERT_EQ(plot.site.size(), 1U);
  EXPECT_LE(*plot.nodes.at("node1")[0]->p99_ms, 10);
  EXPECT_GT(*plot.site[0]->p99_ms, 10);
}

}  // namespace
}  // namespace afloat::rollout
