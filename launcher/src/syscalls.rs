//! Which system calls pass: what servers in Go, Python, Rust and C need to compute, use their descriptors and threads.

use libc::{c_int, c_long};

use crate::init::Setting;
use crate::job::Request;

/// A call that passes with certain arguments only.
pub(crate) struct Rule {
    pub(crate) number: c_long,
    /// All must hold.
    pub(crate) checks: Vec<Check>,
    /// Error of a call that does not pass.
    pub(crate) otherwise: c_int,
}

/// A condition on an argument, counted from 0.
pub(crate) enum Check {
    /// All 64 bits are these.
    Exactly(u32, u64),
    /// The lower 32 bits under a mask are these.
    Masked(u32, u32, u32),
    /// The lower 32 bits under a mask are not these.
    Not(u32, u32, u32),
    /// The lower 32 bits are one of these.
    OneOf(u32, Vec<u32>),
}

/// Calls without a condition.
pub(crate) const ALWAYS: [c_long; COMMON.len() + OF_MACHINE.len()] = {
    let mut all = [0; COMMON.len() + OF_MACHINE.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < COMMON.len() { COMMON[index] } else { OF_MACHINE[index - COMMON.len()] };
        index += 1;
    }
    all
};

const COMMON: [c_long; 135] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_flock,
    libc::SYS_umask,
    libc::SYS_sendfile,
    libc::SYS_copy_file_range,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_msync,
    libc::SYS_brk,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    libc::SYS_futex,
    SYS_FUTEX_WAITV,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getcpu,
    libc::SYS_getpriority,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_capget,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_gettime,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_delete,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_eventfd2,
    libc::SYS_signalfd4,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_getrlimit,
    libc::SYS_setrlimit,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_fstatfs,
    libc::SYS_fgetxattr,
    libc::SYS_fchdir,
    libc::SYS_chdir,
    libc::SYS_statfs,
];

const SYS_FUTEX_WAITV: c_long = 449;

/// Older forms that only some machines have.
#[cfg(target_arch = "x86_64")]
const OF_MACHINE: [c_long; 24] = [
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_signalfd,
    libc::SYS_pause,
    libc::SYS_alarm,
    libc::SYS_time,
    libc::SYS_getpgrp,
    libc::SYS_arch_prctl,
];
#[cfg(target_arch = "aarch64")]
const OF_MACHINE: [c_long; 0] = [];

/// Signals reach the jail's processes only.
pub(crate) const INSIDE_NAMESPACES: [c_long; 3] = [libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill];

/// Calls that programs try and do without.
pub(crate) const FALLBACK: [c_long; 10] = [
    // Its flags lie in memory, where a filter can't look; C libraries go back to `clone`.
    libc::SYS_clone3,
    libc::SYS_openat2,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_vmsplice,
    libc::SYS_pidfd_open,
    libc::SYS_inotify_init1,
];

/// Calls that no plugin makes in good faith: one ends it.
pub(crate) const HOSTILE: [c_long; 37] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_pidfd_getfd,
    libc::SYS_syslog,
];

const LOW: u32 = u32::MAX;

/// Calls with conditions.
pub(crate) fn rules(request: &Request, setting: Setting, own_pid: libc::pid_t) -> Vec<Rule> {
    let own_pid = own_pid.cast_unsigned();
    let mut rules = vec![
        rule(libc::SYS_clone, vec![threads_only()], libc::EPERM),
        rule(libc::SYS_socket, sockets(setting), libc::EAFNOSUPPORT),
        rule(libc::SYS_socketpair, sockets(setting), libc::EAFNOSUPPORT),
        rule(libc::SYS_sendto, vec![in_band(3)], libc::EOPNOTSUPP),
        rule(libc::SYS_sendmsg, vec![in_band(2)], libc::EOPNOTSUPP),
        rule(libc::SYS_sendmmsg, vec![in_band(3)], libc::EOPNOTSUPP),
        rule(libc::SYS_setsockopt, settings(request), libc::ENOPROTOOPT),
        rule(libc::SYS_getsockopt, none_of(2, &[SO_PEERPIDFD]), libc::ENOPROTOOPT),
        rule(libc::SYS_close_range, vec![Check::Masked(2, libc::CLOSE_RANGE_UNSHARE, 0)], libc::EPERM),
        rule(libc::SYS_prctl, vec![one_of(0, &[libc::PR_SET_NAME, libc::PR_GET_NAME, PR_SET_VMA])], libc::EPERM),
        rule(libc::SYS_ioctl, vec![Check::OneOf(1, IOCTLS.to_vec())], libc::ENOTTY),
        rule(libc::SYS_fcntl, vec![one_of(1, &FCNTLS)], libc::EPERM),
        rule(libc::SYS_prlimit64, vec![is(0, 0)], libc::EPERM),
        rule(libc::SYS_sched_setaffinity, vec![is(0, 0)], libc::EPERM),
        rule(libc::SYS_mmap, mappings(request), libc::EPERM),
        rule(libc::SYS_mprotect, protections(request), libc::EPERM),
        rule(libc::SYS_pkey_mprotect, protections(request), libc::EPERM),
    ];
    if setting == Setting::NoNamespaces {
        // Abort and timers signal their own process; others are not hidden.
        rules.push(rule(libc::SYS_kill, vec![Check::Masked(0, LOW, own_pid)], libc::EPERM));
        rules.push(rule(libc::SYS_tgkill, vec![Check::Masked(0, LOW, own_pid)], libc::EPERM));
    }
    rules
}

const PR_SET_VMA: c_int = 0x5356_4D41;

/// Programs that the kernel compiles and runs for each message, and descriptors of processes outside.
const REFUSED_SETTINGS: [c_int; 5] = [
    libc::SO_ATTACH_FILTER,
    libc::SO_ATTACH_BPF,
    libc::SO_ATTACH_REUSEPORT_CBPF,
    libc::SO_ATTACH_REUSEPORT_EBPF,
    SO_PASSPIDFD,
];

const SO_PASSPIDFD: c_int = 76;
const SO_PEERPIDFD: c_int = 77;

/// Terminals are asked whether they are some, sockets how much they hold; nothing is ever typed into a terminal.
const IOCTLS: [u32; 6] = [0x5421, 0x5451, 0x5450, 0x541B, 0x5401, 0x5413];

/// Not those that name a process which then gets signals. Not locks on parts of files either: there can be any number of
/// them, and the kernel counts their memory to nobody. `flock` makes one for an open file.
const FCNTLS: [c_int; 7] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETPIPE_SZ,
];

fn rule(number: c_long, checks: Vec<Check>, otherwise: c_int) -> Rule {
    Rule { number, checks, otherwise }
}

fn is(argument: u32, value: c_int) -> Check {
    Check::Masked(argument, LOW, value.cast_unsigned())
}

fn one_of(argument: u32, values: &[c_int]) -> Check {
    Check::OneOf(argument, values.iter().map(|value| value.cast_unsigned()).collect())
}

fn none_of(argument: u32, values: &[c_int]) -> Vec<Check> {
    values.iter().map(|value| Check::Not(argument, LOW, value.cast_unsigned())).collect()
}

/// Settings of sockets. Larger buffers are refused without a group that counts them, because they count to no process.
fn settings(request: &Request) -> Vec<Check> {
    let mut checks = none_of(2, &REFUSED_SETTINGS);
    if !request.is_memory_counted {
        checks.extend(none_of(2, &[libc::SO_SNDBUF]));
    }
    checks
}

/// Urgent bytes are a corner of Unix sockets that no plugin needs, and in which faults of the kernel were found.
fn in_band(flags: u32) -> Check {
    Check::Masked(flags, libc::MSG_OOB.cast_unsigned(), 0)
}

/// No process, no namespace: only threads, which share their descriptors because the limit on those counts for each table.
fn threads_only() -> Check {
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | CLONE_NEWTIME;
    let thread = (libc::CLONE_THREAD | libc::CLONE_FILES).cast_unsigned();
    Check::Masked(0, thread | namespaces.cast_unsigned(), thread)
}

const CLONE_NEWTIME: c_int = 0x80;

/// Only sockets of this machine; without namespaces only those that must connect before they can send.
fn sockets(setting: Setting) -> Vec<Check> {
    let mut checks = vec![is(0, libc::AF_UNIX)];
    if setting == Setting::NoNamespaces {
        checks.push(Check::Masked(1, 0xF, libc::SOCK_STREAM.cast_unsigned()));
    }
    checks
}

const WRITE_AND_EXECUTE: u32 = (libc::PROT_WRITE | libc::PROT_EXEC).cast_unsigned();

/// Memory is writable or executable, not both, and not from the machine's store of huge pages, which counts to nobody.
/// Without a group that counts it, it is not shared with nobody either, because such memory counts to no process.
fn mappings(request: &Request) -> Vec<Check> {
    let mut checks = vec![Check::Masked(3, libc::MAP_HUGETLB.cast_unsigned(), 0)];
    match (request.may_jit, request.is_dynamic) {
        (true, _) => {}
        (false, true) => checks.push(Check::Not(2, WRITE_AND_EXECUTE, WRITE_AND_EXECUTE)),
        // The kernel has mapped all the code that a static program has.
        (false, false) => checks.push(Check::Masked(2, libc::PROT_EXEC.cast_unsigned(), 0)),
    }
    let nobodys = (libc::MAP_SHARED | libc::MAP_ANONYMOUS).cast_unsigned();
    if !request.is_memory_counted {
        checks.push(Check::Not(3, nobodys, nobodys));
    }
    checks
}

/// Memory does not become executable later: what may be executed is mapped so from a file.
fn protections(request: &Request) -> Vec<Check> {
    let executable = libc::PROT_EXEC.cast_unsigned();
    if request.may_jit { Vec::new() } else { vec![Check::Masked(2, executable, 0)] }
}
