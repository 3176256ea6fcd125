#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "os/cgroup.h"
#include "os/child.h"
#include "os/cpu.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/mapping.h"
#include "os/random.h"
#include "os/shared_memory.h"
#include "os/signals.h"
#include "os/socketpair.h"
#include "os/terminal.h"
#include "os/thread.h"
#include "os/wake.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

class ScratchFolder {
 public:
  ScratchFolder() : path_(fs::temp_directory_path() / fmt::format("millrace-os-test-{:016x}", RandomU64())) {
    fs::create_directory(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string Write(const std::string& name, std::string_view text) const {
    const fs::path path = path_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
bool IsCloseOnExec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

bool Readable(int fd, int timeout_ms = 0) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms) == 1;
}

TEST(UniqueFdTest, ClosesOnceAndMoves) {
  int number = -1;
  {
    UniqueFd first(::open("/dev/null", O_RDONLY));
    number = first.get();
    UniqueFd second = std::move(first);
    EXPECT_EQ(second.get(), number);
    const UniqueFd copy = second.Duplicate().value();
    EXPECT_NE(copy.get(), number);
    EXPECT_TRUE(IsCloseOnExec(copy.get()));
  }
  EXPECT_FALSE(IsOpen(number));
}

TEST(FileTest, OpensOnlyRegularFiles) {
  const ScratchFolder folder;
  const std::string path = folder.Write("model", "12345");
  const RegularFile file = OpenRegularFile(path).value();
  EXPECT_EQ(file.identity.size_bytes, 5U);
  EXPECT_TRUE(IsCloseOnExec(file.fd.get()));
  EXPECT_EQ(IdentifyFile(file.fd.get()).value(), file.identity);

  EXPECT_EQ(OpenRegularFile(folder / "missing").status().code(), Code::kNotFound);
  EXPECT_EQ(OpenRegularFile(folder.path()).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(OpenRegularFile("/dev/null").status().code(), Code::kInvalidArgument);
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(OpenRegularFile(folder / "fifo").status().code(), Code::kInvalidArgument) << "and it does not wait for a writer";
  EXPECT_EQ(OpenRegularFile(std::string("/dev/null\0/x", 12)).status().code(), Code::kInvalidArgument);
  EXPECT_NE(OpenRegularFile(folder / "missing").status().message().find("missing"), std::string::npos) << "names the file";
}

TEST(FileTest, ReadsSmallFilesWhole) {
  const ScratchFolder folder;
  const std::string text(100'000, 'z');
  const std::string path = folder.Write("text", text);
  EXPECT_EQ(ReadSmallFile(path, text.size()).value(), text);
  EXPECT_EQ(ReadSmallFile(path, text.size() - 1).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(ReadSmallFile(folder.Write("empty", ""), 0).value(), "");
}

TEST(MappingTest, ShowsTheFile) {
  const ScratchFolder folder;
  const std::string path = folder.Write("weights", std::string(10'000, 'w'));
  FileMapping mapping;
  {
    const RegularFile file = OpenRegularFile(path).value();
    mapping = FileMapping::Map(file.fd.get(), file.identity.size_bytes).value();
    EXPECT_EQ(FileMapping::Map(file.fd.get(), 9'999).status().code(), Code::kDataLoss) << "another size than at the opening";
  }
  ASSERT_EQ(mapping.bytes().size(), 10'000U);
  mapping.WillNeed(0, 10'000);
  mapping.WillNeed(9'000, ~size_t{0});
  mapping.DontNeed(5'000, 100'000);
  mapping.DontNeed(20'000, 1);
  EXPECT_EQ(mapping.bytes()[9'999], std::byte{'w'});
  const RegularFile empty = OpenRegularFile(folder.Write("empty", "")).value();
  EXPECT_TRUE(FileMapping::Map(empty.fd.get(), 0).value().bytes().empty());
}

TEST(MappingTest, HugeBufferIsAlignedZeroedAndWritable) {
  HugeBuffer buffer = HugeBuffer::Allocate((size_t{4} << 20) + 5).value();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % HugeBuffer::kAlignment, 0U);
  EXPECT_EQ(buffer.size(), (size_t{4} << 20) + 5);
  for (const std::byte b : buffer.bytes()) ASSERT_EQ(b, std::byte{0});
  buffer.bytes().back() = std::byte{7};
  const HugeBuffer moved = std::move(buffer);
  EXPECT_EQ(moved.bytes().back(), std::byte{7});
  EXPECT_LE(moved.CountHugeBytes(), size_t{6} << 20);
  EXPECT_EQ(HugeBuffer::Allocate(0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(HugeBuffer::Allocate(~size_t{0}).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(HugeBuffer::Allocate(size_t{1} << 62).status().code(), Code::kResourceExhausted);
}

TEST(SharedMemoryTest, IsSharedAndSealed) {
  const SharedMemory first = SharedMemory::Create(8192).value();
  const SharedMemory second = SharedMemory::Open(UniqueFd(::dup(first.fd())), 8192).value();
  first.data()[100] = std::byte{9};
  EXPECT_EQ(second.data()[100], std::byte{9});
  EXPECT_EQ(SharedMemory::Open(UniqueFd(::dup(first.fd())), 4096).status().code(), Code::kDataLoss);
  EXPECT_EQ(SharedMemory::Create(0).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(IsCloseOnExec(first.fd()));
#if defined(__linux__)
  EXPECT_NE(::ftruncate(first.fd(), 0), 0);
  EXPECT_NE(::ftruncate(first.fd(), 1 << 20), 0);
  UniqueFd unsealed(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), 8192), 0);
  EXPECT_EQ(SharedMemory::Open(std::move(unsealed), 8192).status().code(), Code::kDataLoss);
  EXPECT_EQ(SharedMemory::Open(UniqueFd(::open("/dev/null", O_RDWR)), 8192).status().code(), Code::kDataLoss);
#endif
}

class WakeEventTest : public testing::TestWithParam<bool> {
 protected:
  WakeEvent Make() { return GetParam() ? WakeEvent::CreateForPeers().value() : WakeEvent::Create().value(); }
};

TEST_P(WakeEventTest, SignalsMergeAndDrainClears) {
  WakeEvent event = Make();
  EXPECT_FALSE(event.Wait(milliseconds(0)));
  event.Signal();
  event.Signal();
  EXPECT_TRUE(Readable(event.fd()));
  EXPECT_TRUE(event.Wait(std::nullopt)) << "stays set until drained";
  event.Drain();
  EXPECT_FALSE(Readable(event.fd()));
  event.Drain();
  EXPECT_FALSE(event.Wait(milliseconds(1)));
}

TEST_P(WakeEventTest, NeverBlocksHoweverOftenSignalled) {
  WakeEvent event = Make();
  for (int i = 0; i < 200'000; ++i) event.Signal();
  for (int i = 0; i < 100 && Readable(event.fd()); ++i) event.Drain();
  EXPECT_FALSE(Readable(event.fd()));
}

TEST_P(WakeEventTest, WakesASleepingThread) {
  WakeEvent event = Make();
  std::thread signaller([&event] {
    std::this_thread::sleep_for(milliseconds(20));
    event.Signal();
  });
  EXPECT_TRUE(event.Wait(seconds(20)));
  signaller.join();
}

INSTANTIATE_TEST_SUITE_P(Wake, WakeEventTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& param) { return param.param ? "Pipe" : "Local"; });

TEST(WakeEventTest, APeerCannotMakeTheOtherEndBlock) {
  WakeEvent event = WakeEvent::CreateForPeers().value();
  // What a hostile peer could do to its own end.
  ASSERT_EQ(::fcntl(event.signal_fd(), F_SETFL, 0), 0);
  event.Drain();  // would hang if the ends shared their flags
  EXPECT_FALSE(event.Wait(milliseconds(0)));
}

TEST(WordTest, WaitsUntilWoken) {
  std::atomic<uint32_t> word{0};
  EXPECT_TRUE(WaitOnWord(word, 1, WordScope::kThreads)) << "another value: no sleep";
  EXPECT_FALSE(WaitOnWord(word, 0, WordScope::kThreads, milliseconds(5))) << "timeout";
  std::thread waker([&word] {
    std::this_thread::sleep_for(milliseconds(20));
    word.store(1);
    WakeAll(word, WordScope::kThreads);
  });
  while (word.load() == 0) EXPECT_TRUE(WaitOnWord(word, 0, WordScope::kThreads, seconds(20)));
  waker.join();
}

TEST(WordTest, WakesAnotherProcess) {
  const SharedMemory memory = SharedMemory::Create(4096).value();
  auto& word = *new (memory.data()) std::atomic<uint32_t>(0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    bool in_time = true;
    while (word.load() == 0 && in_time) in_time = WaitOnWord(word, 0, WordScope::kProcesses, seconds(20));
    ::_exit(in_time ? 0 : 1);
  }
  std::this_thread::sleep_for(milliseconds(20));
  word.store(1);
  WakeOne(word, WordScope::kProcesses);
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

TEST(ControlSocketTest, CarriesBytesAndDescriptors) {
  auto [left, right] = ControlSocket::CreatePair().value();
  EXPECT_FALSE(right.Receive().value().has_value());
  const SharedMemory memory = SharedMemory::Create(4096).value();
  const std::array<int, 2> fds = {memory.fd(), 0};
  ASSERT_TRUE(left.Send(Bytes("one"), fds).ok());
  ASSERT_TRUE(left.Send(Bytes("second")).ok());
  const ControlPacket first = right.ReceiveWithin(seconds(1)).value();
  EXPECT_EQ(first.bytes.size(), 3U);
  ASSERT_EQ(first.fds.size(), 2U);
  EXPECT_TRUE(IsCloseOnExec(first.fds[0].get()));
  EXPECT_TRUE(SharedMemory::Open(UniqueFd(::dup(first.fds[0].get())), 4096).ok());
  EXPECT_EQ(right.ReceiveWithin(seconds(1)).value().bytes.size(), 6U) << "packets keep their borders";
  EXPECT_EQ(right.ReceiveWithin(milliseconds(5)).status().code(), Code::kDeadlineExceeded);
  left.Close();
  EXPECT_EQ(right.Receive().status().code(), Code::kUnavailable);
  EXPECT_EQ(right.Send(Bytes("x")).code(), Code::kUnavailable) << "and no SIGPIPE";
}

TEST(ControlSocketTest, LimitsHoldOnBothSides) {
  auto [left, right] = ControlSocket::CreatePair().value();
  EXPECT_EQ(left.Send({}).code(), Code::kInvalidArgument);
  EXPECT_EQ(left.Send(Bytes(std::string(ControlSocket::kMaxBytes + 1, 'x'))).code(), Code::kInvalidArgument);
  const std::vector<int> many(ControlSocket::kMaxFds + 1, 0);
  EXPECT_EQ(left.Send(Bytes("x"), many).code(), Code::kInvalidArgument);
  ASSERT_TRUE(left.Send(Bytes(std::string(ControlSocket::kMaxBytes, 'x')), std::vector<int>(ControlSocket::kMaxFds, 0)).ok());
  EXPECT_EQ(right.Receive().value()->fds.size(), ControlSocket::kMaxFds);
  // A peer that does not keep to them.
  const std::string large(ControlSocket::kMaxBytes + 1, 'x');
  ASSERT_EQ(::send(left.fd(), large.data(), large.size(), 0), static_cast<ssize_t>(large.size()));
  EXPECT_EQ(right.Receive().status().code(), Code::kDataLoss);
}

TEST(ControlSocketTest, DescriptorsOfARefusedPacketAreClosed) {
  auto [left, right] = ControlSocket::CreatePair().value();
  const auto open_fds = [] {
    int count = 0;
    for (int fd = 0; fd < 512; ++fd) count += IsOpen(fd) ? 1 : 0;
    return count;
  };
  const int before = open_fds();
  for (const size_t sent : {ControlSocket::kMaxFds + 1, size_t{253}}) {  // a few too many, and more than the buffer holds
    std::vector<char> control(CMSG_SPACE(sizeof(int) * sent));
    char byte = 'x';
    iovec part{&byte, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * sent);
    for (size_t i = 0; i < sent; ++i) std::memset(CMSG_DATA(rights) + i * sizeof(int), 0, sizeof(int));
    ASSERT_EQ(::sendmsg(left.fd(), &message, 0), 1);
    EXPECT_EQ(right.Receive().status().code(), Code::kDataLoss);
    EXPECT_EQ(open_fds(), before);
  }
}

TEST(ControlSocketTest, AFullSocketSaysSo) {
  auto [left, right] = ControlSocket::CreatePair().value();
  const std::string text(ControlSocket::kMaxBytes, 'x');
  Status status;
  for (int i = 0; i < 10'000 && status.ok(); ++i) status = left.Send(Bytes(text));
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
}

Child Shell(const std::string& script, int inherited_fd = -1) {
  return Child::Spawn({"/bin/sh", {"sh", "-c", script}, inherited_fd}).value();
}

TEST(ChildTest, ReportsExitCodeAndSignal) {
  Child child = Shell("exit 7");
  EXPECT_TRUE(Readable(child.exit_fd(), 10'000));
  const auto status = child.ReapWithin(seconds(10));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->ToString(), "exit code 7");
  EXPECT_FALSE(child.running());
  EXPECT_EQ(child.TryReap()->value, 7) << "asking again repeats the answer";

  Child sleeper = Shell("exec sleep 100");
  EXPECT_FALSE(sleeper.TryReap().has_value());
  EXPECT_FALSE(sleeper.ReapWithin(milliseconds(5)).has_value());
  sleeper.Kill();
  const auto killed = sleeper.ReapWithin(seconds(10));
  ASSERT_TRUE(killed.has_value());
  EXPECT_TRUE(killed->signalled);
  EXPECT_EQ(killed->value, SIGKILL);
  sleeper.Kill();  // of nobody
}

TEST(ChildTest, AMissingExecutableIsAnError) {
  const Result<Child> child = Child::Spawn({"/nonexistent/worker", {"worker"}, -1});
  EXPECT_EQ(child.status().code(), Code::kNotFound);
  EXPECT_NE(child.status().message().find("/nonexistent/worker"), std::string::npos);
  EXPECT_EQ(Child::Spawn({"/dev/null", {"x"}, -1}).status().code(), Code::kInvalidArgument);
}

TEST(ChildTest, DestructionKillsAndLeavesNoZombie) {
  pid_t pid = 0;
  {
    const Child child = Shell("exec sleep 100");
    pid = child.pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child is left to reap";
}

#if defined(__linux__)
TEST(ChildTest, InheritsOnlyWhatItShould) {
  const UniqueFd leak(::fcntl(0, F_DUPFD, 57));  // without close-on-exec on purpose
  auto [ours, theirs] = ControlSocket::CreatePair().value();
  // The shell opens some descriptors of its own while it works; what matters is that ours is not there.
  Child child = Shell("for fd in /proc/$$/fd/*; do echo ${fd##*/}; done >&3", theirs.fd());
  theirs.Close();
  const auto status = child.ReapWithin(seconds(10));
  ASSERT_TRUE(status && status->ok());
  std::string listing;
  while (true) {
    const Result<std::optional<ControlPacket>> packet = ours.Receive();
    if (!packet.ok() || !packet.value().has_value()) break;
    listing.append(reinterpret_cast<const char*>((*packet)->bytes.data()), (*packet)->bytes.size());
  }
  for (const char* number : {"0\n", "1\n", "2\n", "3\n"}) EXPECT_NE(listing.find(number), std::string::npos) << listing;
  ASSERT_GE(leak.get(), 57);
  EXPECT_EQ(listing.find(fmt::format("\n{}\n", leak.get())), std::string::npos) << listing;
}

TEST(ChildTest, StartsWithCleanSignals) {
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Child child =
      Shell("grep -q 'SigBlk:.0000000000000000' /proc/self/status && grep -q 'SigIgn:.0000000000000000' /proc/self/status");
  ::pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const auto status = child.ReapWithin(seconds(10));
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(status->ok()) << status->ToString();
}

TEST(ChildTest, DiesWithItsParent) {
  auto [ours, theirs] = ControlSocket::CreatePair().value();
  const pid_t middle = ::fork();
  if (middle == 0) {
    Child grandchild = Shell("exec sleep 100", theirs.fd());
    const pid_t pid = grandchild.pid();
    (void)ours.Send(std::as_bytes(std::span(&pid, 1)));  // into its own pair: read by the parent of both
    (void)theirs.Send(std::as_bytes(std::span(&pid, 1)));
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(middle, nullptr, 0), middle);
  const ControlPacket packet = ours.ReceiveWithin(seconds(10)).value();
  pid_t grandchild = 0;
  ASSERT_EQ(packet.bytes.size(), sizeof(grandchild));
  std::memcpy(&grandchild, packet.bytes.data(), sizeof(grandchild));
  const int64_t deadline = MonotonicNs() + 10'000'000'000;
  const auto gone = [grandchild] {
    // Reaped by init, or a zombie where nobody does: dead either way.
    const std::string status = ReadKernelFile(fmt::format("/proc/{}/status", grandchild));
    return status.empty() || status.find("State:\tZ") != std::string::npos;
  };
  while (!gone() && MonotonicNs() < deadline) std::this_thread::sleep_for(milliseconds(2));
  EXPECT_TRUE(gone());
}

TEST(ChildTest, ManyCyclesLeaveNoDescriptorBehind) {
  const auto open_fds = [] { return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()); };
  const auto before = open_fds();
  for (int i = 0; i < 50; ++i) {
    Child child = Shell("exec sleep 100");
    if (i % 2 == 0) child.Kill();
  }
  EXPECT_EQ(open_fds(), before);
}
#endif

TEST(ChildTest, FindsTheRunningProgram) {
  const std::string path = OwnExecutable().value();
  EXPECT_TRUE(fs::is_regular_file(path)) << path;
}

TEST(CpuTest, FactsAreSane) {
  const CpuInfo& cpu = GetCpu();
  EXPECT_FALSE(cpu.model.empty());
  EXPECT_GE(cpu.logical, 1);
  EXPECT_GE(cpu.logical, cpu.physical);
  EXPECT_GE(cpu.usable, 1);
  EXPECT_LE(cpu.usable, cpu.logical);
  EXPECT_GE(cpu.usable_physical, 1);
  EXPECT_LE(cpu.usable_physical, cpu.usable);
#if defined(__linux__)
  const std::vector<int> usable = UsableCpus();
  EXPECT_GE(static_cast<int>(usable.size()), cpu.usable_physical);
  for (const int number : usable) EXPECT_GE(number, 0);
#endif
#if defined(__x86_64__)
  EXPECT_EQ(cpu.isa.avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_EQ(cpu.isa.avx512, __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"));
  EXPECT_EQ(cpu.isa.avx512_vnni, static_cast<bool>(__builtin_cpu_supports("avx512vnni")));
#endif
}

TEST(CpuTest, NamesTheWidestStep) {
  IsaFeatures isa;
  EXPECT_EQ(IsaName(isa), "scalar");
  isa.avx2 = true;
  EXPECT_EQ(IsaName(isa), "avx2");
  isa.avx512 = isa.avx512_vnni = true;
  EXPECT_EQ(IsaName(isa), "avx512vnni");
}

TEST(CpuTest, StealShareOfAWindow) {
  EXPECT_DOUBLE_EQ(StealShare({0, 10, 100}, {0, 20, 200}), 0.1);
  EXPECT_EQ(StealShare({0, 10, 100}, {0, 10, 100}), 0);
#if defined(__linux__)
  EXPECT_GT(SampleLoad().total_ticks, 0U);
#endif
}

TEST(CpuTest, AvailableMemoryHeedsTheAddressSpaceLimit) {
  const MemoryBudget budget = AvailableMemory();
  EXPECT_GT(budget.available_bytes, 0U);
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_GT(ResidentBytes(), 0U);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const rlimit limit{uint64_t{256} << 20, uint64_t{256} << 20};
    ::setrlimit(RLIMIT_AS, &limit);
    const MemoryBudget inside = AvailableMemory();
    ::_exit(inside.limited_by == "RLIMIT_AS" && inside.available_bytes < (uint64_t{256} << 20) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
#endif
}

TEST(CgroupTest, Version2TakesTheTightestLevel) {
  const ScratchFolder root;
  root.Write("a/memory.max", "1000000\n");
  root.Write("a/memory.current", "400000\n");
  root.Write("a/memory.stat", "anon 1\ninactive_file 100000\n");
  root.Write("a/cpu.max", "150000 100000\n");
  root.Write("a/b/memory.max", "max\n");
  root.Write("a/b/memory.current", "5\n");
  root.Write("a/b/cpu.max", "max 100000\n");
  const CgroupLimits limits = ReadCgroupLimits(root.path(), "0::/a/b\n");
  EXPECT_DOUBLE_EQ(limits.cpus, 1.5);
  EXPECT_EQ(limits.memory_available_bytes, 700'000U) << "limit - use + what the kernel gives back first";
  const CgroupLimits none = ReadCgroupLimits(root.path(), "0::/elsewhere\n");
  EXPECT_EQ(none.cpus, 0);
  EXPECT_EQ(none.memory_available_bytes, CgroupLimits::kUnlimited);
}

TEST(CgroupTest, Version1) {
  const ScratchFolder root;
  root.Write("memory/docker/x/memory.limit_in_bytes", "5000\n");
  root.Write("memory/docker/x/memory.usage_in_bytes", "6000\n");
  root.Write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  root.Write("memory/memory.usage_in_bytes", "6000\n");
  root.Write("cpu/docker/x/cpu.cfs_quota_us", "50000\n");
  root.Write("cpu/docker/x/cpu.cfs_period_us", "100000\n");
  root.Write("cpu/cpu.cfs_quota_us", "-1\n");
  root.Write("cpu/cpu.cfs_period_us", "100000\n");
  const CgroupLimits limits = ReadCgroupLimits(root.path(), "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n");
  EXPECT_EQ(limits.memory_available_bytes, 0U);
  EXPECT_DOUBLE_EQ(limits.cpus, 0.5);
}

TEST(CgroupTest, MalformedTextIsNoLimit) {
  const ScratchFolder root;
  root.Write("cpu.max", "banana\n");
  root.Write("memory.max", "99999999999999999999999999\n");
  root.Write("memory.current", "-3\n");
  for (const char* membership : {"", "0", "0::", "::\n:", "0::/../..\n", "0::no-slash"}) {
    const CgroupLimits limits = ReadCgroupLimits(root.path(), membership);
    EXPECT_EQ(limits.cpus, 0) << membership;
    EXPECT_EQ(limits.memory_available_bytes, CgroupLimits::kUnlimited) << membership;
  }
}

TEST(SignalQueueTest, TurnsSignalsIntoReadableInput) {
  {
    SignalQueue queue = SignalQueue::Capture({SIGUSR1, SIGTERM}).value();
    EXPECT_FALSE(queue.Next().has_value());
    ::raise(SIGTERM);
    ::raise(SIGUSR1);
    EXPECT_TRUE(Readable(queue.fd()));
    const int first = queue.Next().value();
    const int second = queue.Next().value();
    EXPECT_EQ(first + second, SIGTERM + SIGUSR1);
    EXPECT_FALSE(queue.Next().has_value());
    ::raise(SIGTERM);  // left unread: must not strike when the queue goes
  }
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  EXPECT_EQ(::sigismember(&mask, SIGTERM), 0);
}

TEST(ThreadTest, NamesAndPins) {
  std::thread thread([] {
    SetThreadName("a-name-longer-than-the-kernel-takes");
#if defined(__linux__)
    EXPECT_EQ(ReadKernelFile("/proc/thread-self/comm"), "a-name-longer-t\n");
    EXPECT_TRUE(PinThread(::sched_getcpu()).ok());
    EXPECT_FALSE(PinThread(-1).ok());
    EXPECT_FALSE(PinThread(1023).ok());
#endif
  });
  thread.join();
}

TEST(TerminalTest, AFileIsNone) {
  const UniqueFd fd(::open("/dev/null", O_RDWR));
  EXPECT_FALSE(IsTerminal(fd.get()));
  EXPECT_EQ(TerminalWidth(fd.get()), 80);
}

TEST(RandomTest, DoesNotRepeat) { EXPECT_NE(RandomU64(), RandomU64()); }

}  // namespace
}  // namespace millrace
