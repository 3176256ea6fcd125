// The small parts: keys, quarantine, process start.
#include <gtest/gtest.h>

#include <string>

#include "gateway/api_keys.h"
#include "gateway/process_launcher.h"
#include "gateway/quarantine.h"
#include "net/asio_loop.h"

namespace millrace::gateway {
namespace {

net::Request With(std::string_view authorization) {
  net::Request request;
  if (!authorization.empty()) request.headers.Add("authorization", authorization);
  request.peer = {"127.0.0.1", 5};
  return request;
}

TEST(ApiKeys, OnlyABearerOfAKeyPasses) {
  const auto keys = ApiKeys::Create({{"ann", "s3cret"}, {"bob", "other"}});
  ASSERT_TRUE(keys.ok());
  EXPECT_FALSE(keys->Check(With("Bearer s3cret")).has_value());
  EXPECT_FALSE(keys->Check(With("bearer  other")).has_value());
  for (const char* bad : {"", "s3cret", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret ", "Bearer S3CRET", "Basic s3cret"}) {
    const auto error = keys->Check(With(bad));
    ASSERT_TRUE(error.has_value()) << bad;
    EXPECT_EQ(error->status, 401);
  }
  net::Request twice = With("Bearer s3cret");
  twice.headers.Add("Authorization", "Bearer other");
  EXPECT_TRUE(keys->Check(twice).has_value());
  EXPECT_FALSE(ApiKeys::Create({})->Check(With("")).has_value());
}

TEST(ApiKeys, TenantsAreToldApart) {
  const auto keys = ApiKeys::Create({{"ann", "s3cret"}});
  EXPECT_EQ(keys->Tenant(With("Bearer s3cret")), keys->Tenant(With("bearer s3cret")));
  EXPECT_NE(keys->Tenant(With("Bearer s3cret")), keys->Tenant(With("Bearer x")));
  EXPECT_NE(keys->Tenant(With("Bearer x")), keys->Tenant(With("Bearer y")));
  net::Request other = With("");
  other.peer.host = "127.0.0.2";
  EXPECT_NE(keys->Tenant(With("")), keys->Tenant(other));
  net::Request other_port = With("");
  other_port.peer.port = 6;
  EXPECT_EQ(keys->Tenant(With("")), keys->Tenant(other_port));
}

TEST(Quarantine, HoldsAfterTwoChargesAndLetsGo) {
  Quarantine quarantine;
  quarantine.Charge(1, 0);
  EXPECT_FALSE(quarantine.Holds(1, 1));
  quarantine.Charge(1, 5);
  EXPECT_TRUE(quarantine.Holds(1, 6));
  EXPECT_FALSE(quarantine.Holds(2, 6));
  EXPECT_TRUE(quarantine.Holds(1, 5 + Quarantine::kHoldNs));
  EXPECT_FALSE(quarantine.Holds(1, 6 + Quarantine::kHoldNs));
  quarantine.Charge(2, 7);
  quarantine.Clear(2);
  quarantine.Charge(2, 8);
  EXPECT_FALSE(quarantine.Holds(2, 9)) << "a token in between wipes the slate";
}

TEST(Quarantine, IsBounded) {
  Quarantine quarantine;
  for (uint64_t i = 0; i < 5 * Quarantine::kMaxEntries; ++i) quarantine.Charge(i, static_cast<int64_t>(i));
  EXPECT_LE(quarantine.size(), Quarantine::kMaxEntries);
}

TEST(FindWorkerProgram, NamesThePlacesItTried) {
  EXPECT_EQ(*FindWorkerProgram("/bin/sh"), "/bin/sh");
  const auto missing = FindWorkerProgram("/nonexistent/worker");
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_NE(missing.status().message().find("/nonexistent/worker"), std::string::npos);
}

// With real processes: a program that ends by itself, and one that has to be killed.
TEST(ProcessLauncher, ReportsHowAProcessEnded) {
  const auto loop = net::MakeAsioLoop();
  ipc::Attach attach;
  attach.incarnation = 1;
  for (const bool kill : {false, true}) {
    ProcessLauncher launcher(*loop, kill ? "/bin/cat" : "/bin/false");  // cat waits on nothing: its input is /dev/null
    std::string cause;
    WorkerEvents events;
    events.on_records = [] {};
    events.on_exit = [&](const std::string& how) {
      cause = how;
      loop->Stop();
    };
    auto link = launcher.Launch(attach, {}, std::move(events));
    ASSERT_TRUE(link.ok()) << link.status().ToString();
    EXPECT_GT((*link)->pid(), 0);
    if (kill) (*link)->Kill();
    loop->Run();
    EXPECT_EQ(cause, kill ? cause : "exit code 1");
    EXPECT_FALSE(cause.empty());
  }
  ProcessLauncher nothing(*loop, "/nonexistent/worker");
  EXPECT_FALSE(nothing.Launch(attach, {}, {}).ok());
}

}  // namespace
}  // namespace millrace::gateway
