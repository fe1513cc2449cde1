/* Tries to get out of the jail, one attempt after the other, and tells how each went.
 *
 *   probe FROM KEY=VALUE...
 *
 * starts with attempt number FROM and prints "NUMBER NAME open|shut|works|broken DETAIL" for each. An attempt that ends the
 * process is the last one printed; whoever runs it goes on behind it. Everything tried is harmless outside the jail too,
 * in a mount namespace of its own: it asks for permission where using it would hurt.
 *
 * With PROBE_IN_PLUGIN it is a part of a plugin, which calls probe_attempt. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <linux/keyctl.h>
#include <linux/reboot.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int argument_count;
static char **arguments;
static const char *scratch;

/* Descriptors that were open before anything of the program ran. */
static char inherited[1024];
__attribute__((constructor)) static void look_around(void) {
    for (int fd = 3; fd < 1024; fd++) inherited[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* Value that the harness planted, or "". */
static const char *planted(const char *key) {
    size_t length = strlen(key);
    for (int i = 2; i < argument_count; i++)
        if (!strncmp(arguments[i], key, length) && arguments[i][length] == '=') return arguments[i] + length + 1;
    return "";
}
static pid_t host(void) { return atoi(planted("host")); }

/* Permitted unless the kernel says that it is not, or does not know it: other errors come after the permission. */
static int permitted(long answer) {
    return answer >= 0 || (errno != EPERM && errno != EACCES && errno != ENOSYS && errno != EAFNOSUPPORT &&
                           errno != ENOENT && errno != ESRCH && errno != ENOTTY && errno != EROFS && errno != ENODEV &&
                           errno != EPROTONOSUPPORT && errno != ENXIO && errno != ENOTDIR && errno != EBADF);
}
static int opens(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0) return 0;
    char byte;
    int readable = (flags & O_ACCMODE) != O_RDONLY || read(fd, &byte, 1) >= 0 || errno == EISDIR;
    close(fd);
    return readable;
}
static char *path_of(const char *format, ...) {
    static char text[4][4200];
    static int next;
    char *place = text[next++ & 3];
    va_list list;
    va_start(list, format);
    vsnprintf(place, sizeof text[0], format, list);
    va_end(list);
    return place;
}
static int contains(const char *path, const char *needle) {
    static char text[1 << 16];
    int fd = open(path, O_RDONLY);
    if (fd < 0 || !*needle) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 && memmem(text, length, needle, strlen(needle)) != NULL;
}
static int has_entry(const char *directory, const char *name) {
    DIR *open = opendir(directory);
    if (!open) return 0;
    int found = 0;
    for (struct dirent *entry; (entry = readdir(open));) found |= !strcmp(entry->d_name, name);
    closedir(open);
    return found;
}
static int connects(const char *path, int is_abstract, int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!*path) return 0;
    int fd = socket(AF_UNIX, type, 0);
    if (fd < 0) return 0;
    strncpy(address.sun_path + is_abstract, path, sizeof address.sun_path - 2);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + is_abstract + strlen(path);
    int done = type == SOCK_STREAM ? connect(fd, (void *)&address, length)
                                   : (int)sendto(fd, "x", 1, 0, (void *)&address, length);
    close(fd);
    return done >= 0;
}
static int has_socket(int family, int type, int protocol) {
    int fd = socket(family, type, protocol);
    if (fd >= 0) close(fd);
    return fd >= 0;
}
static int inet(int type) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(planted("port")))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, type, 0);
    if (fd < 0) return 0;
    int done = type == SOCK_STREAM ? connect(fd, (void *)&address, sizeof address)
                                   : (int)sendto(fd, "x", 1, 0, (void *)&address, sizeof address);
    close(fd);
    return done >= 0;
}
static int lives(pid_t child) {
    if (child == 0) _exit(0);
    if (child < 0) return 0;
    waitpid(child, NULL, 0);
    return 1;
}
static void *nothing(void *unused) { return unused; }
static void *sleeps(void *unused) { pause(); return unused; }

/* Files */
static int etc_passwd(void) { return opens("/etc/passwd", O_RDONLY); }
static int etc_shadow(void) { return opens("/etc/shadow", O_RDONLY); }
static int list_root(void) { return has_entry("/", "etc"); }
static int write_root(void) { int n = opens("/goatflow-probe", O_WRONLY | O_CREAT); unlink("/goatflow-probe"); return n; }
static int write_vartmp(void) { int n = opens("/var/tmp/goatflow-probe", O_WRONLY | O_CREAT); unlink("/var/tmp/goatflow-probe"); return n; }
static int planted_file(void) { return opens(planted("secret"), O_RDONLY); }
static int planted_stat(void) { struct stat s; return *planted("secret") && !stat(planted("secret"), &s); }
static int host_environ(void) { return opens(path_of("/proc/%d/environ", host()), O_RDONLY); }
static int init_environ(void) { return opens("/proc/1/environ", O_RDONLY); }
static int host_memory(void) { return opens(path_of("/proc/%d/mem", host()), O_RDWR); }
static int host_maps(void) { return opens(path_of("/proc/%d/maps", host()), O_RDONLY); }
static int host_fds(void) { return has_entry(path_of("/proc/%d/fd", host()), "0"); }
static int host_root(void) { return opens(path_of("/proc/%d/root/etc/passwd", host()), O_RDONLY); }
static int init_root(void) { return opens("/proc/1/root/etc/passwd", O_RDONLY); }
static int self_root(void) { return opens("/proc/self/root/../../etc/passwd", O_RDONLY); }
static int parent_cwd(void) { return opens(path_of("/proc/%d/cwd/../../../etc/passwd", getppid()), O_RDONLY); }
static int sys_write(void) { return opens("/proc/sys/kernel/hostname", O_WRONLY); }
static int sysrq(void) { int fd = open("/proc/sysrq-trigger", O_WRONLY); if (fd >= 0) close(fd); return fd >= 0; }
static int block(void) { return opens("/dev/vda", O_RDONLY) || opens("/dev/sda", O_RDONLY) || opens("/dev/nvme0n1", O_RDONLY); }
static int kmsg(void) { int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK); if (fd >= 0) close(fd); return fd >= 0; }
static int mem(void) { int fd = open("/dev/mem", O_RDONLY); if (fd >= 0) close(fd); return fd >= 0; }
static int kcore(void) { return opens("/proc/kcore", O_RDONLY); }
static int kallsyms(void) { return opens("/proc/kallsyms", O_RDONLY); }
static int machine_cmdline(void) { return opens("/proc/cmdline", O_RDONLY); }
static int sysfs(void) { return has_entry("/sys", "kernel"); }
static int mounts(void) { return contains("/proc/self/mountinfo", planted("disk")); }
static int cgroups(void) { return contains("/proc/self/cgroup", "goatflow-") || contains("/proc/self/cgroup", "process_api"); }
static int char_device(void) { char *p = path_of("%s/char", scratch); int n = mknod(p, S_IFCHR | 0600, 0x101); unlink(p); return !n; }
static int block_device(void) { char *p = path_of("%s/block", scratch); int n = mknod(p, S_IFBLK | 0600, 0xfd00); unlink(p); return !n; }
static int do_mount(void) { char *p = path_of("%s/mount", scratch); mkdir(p, 0700); return !mount("tmpfs", p, "tmpfs", 0, "size=4k"); }
static int do_umount(void) { return !umount2(path_of("%s/mount", scratch), MNT_DETACH) || permitted(umount2("/nowhere", 0)); }
static int remount(void) { return permitted(mount(NULL, "/nowhere", NULL, MS_REMOUNT | MS_BIND, NULL)) || !mount(NULL, "/", NULL, MS_PRIVATE, NULL); }
static int do_chroot(void) { return !chroot("/"); }
static int handle(void) {
    struct { struct file_handle head; char room[128]; } h = {.head.handle_bytes = 128};
    int mount_id;
    if (name_to_handle_at(AT_FDCWD, "/", &h.head, &mount_id, 0)) return 0;
    int directory = open("/", O_RDONLY | O_DIRECTORY);
    int fd = open_by_handle_at(directory, &h.head, O_RDONLY);
    return fd >= 0;
}
static int raw_handle(void) { struct { struct file_handle head; char room[128]; } h = {.head.handle_bytes = 8, .head.handle_type = 1}; return permitted(syscall(SYS_open_by_handle_at, 0, &h, 0)); }
static int leaked_descriptor(void) { return memchr(inherited, 1, sizeof inherited) != NULL; }
static int leaked_directory(void) { for (int fd = 3; fd < 1024; fd++) if (openat(fd, "../etc/passwd", O_RDONLY) >= 0) return 1; return 0; }
static int shell(void) {
    char *list[] = {"sh", "-c", (char *)planted("announce"), NULL};
    execve("/bin/sh", list, NULL);
    return 0;
}
static int map_dropped(void) {
    char *p = path_of("%s/dropped", scratch);
    int fd = open(p, O_RDWR | O_CREAT, 0700);
    if (fd < 0 || write(fd, "\xc3", 1) != 1) return 0;
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    unlink(p);
    return code != MAP_FAILED;
}
static int second_stage(void) { int fd = memfd_create("stage", 0); return fd >= 0 && write(fd, "\xc3", 1) == 1 && mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED; }
static int exec_again(void) {
    /* A number that is no program: permitted means that the kernel looked at it. */
    char *list[] = {"probe", NULL};
    int fd = open("/proc/self/status", O_RDONLY);
    return fd >= 0 && (syscall(SYS_execveat, fd, "", list, NULL, AT_EMPTY_PATH), errno != EPERM && errno != ENOSYS);
}
static int exec_guess(void) { for (int fd = 200; fd < 216; fd++) { dup2(0, fd); syscall(SYS_execveat, fd, "", NULL, NULL, AT_EMPTY_PATH); int e = errno; close(fd); if (e != EPERM) return 1; } return 0; }
static int write_image(void) { int fd = open("/proc/self/exe", O_RDWR | O_TRUNC); return fd >= 0; }
static int write_own_text(void) { int fd = open("/proc/self/mem", O_RDWR); return fd >= 0 && pwrite(fd, "x", 1, (off_t)(uintptr_t)&nothing) == 1; }
static int write_adj(void) { return opens("/proc/self/oom_score_adj", O_WRONLY); }
static int link_image(void) { char *p = path_of("%s/linked", scratch); int n = linkat(AT_FDCWD, "/proc/self/exe", AT_FDCWD, p, AT_SYMLINK_FOLLOW); int e = errno; unlink(p); return !n || e == EXDEV; }
static int follow_link(void) { char *p = path_of("%s/link", scratch); unlink(p); return !symlink("/etc/passwd", p) && opens(p, O_RDONLY); }
static int climb(void) { for (int i = 0; i < 30; i++) if (chdir("..")) break; int n = opens("etc/passwd", O_RDONLY); if (chdir(scratch)) return n; return n; }
static int change_mode(void) { struct stat s; return !stat(planted("secret"), &s) && !chmod(planted("secret"), s.st_mode & 07777); }
static int change_owner(void) { return !chown(planted("secret"), getuid(), getgid()); }
static int change_times(void) { return !utimensat(AT_FDCWD, planted("secret"), NULL, 0); }
static int change_attribute(void) { return !setxattr(planted("secret"), "user.probe", "x", 1, 0); }
static int watch(void) { int fd = inotify_init1(0); return fd >= 0 && inotify_add_watch(fd, "/etc", IN_OPEN) >= 0; }
static int nameless(void) { return opens("/var/tmp", O_TMPFILE | O_RDWR) || opens("/", O_TMPFILE | O_RDWR); }
static int dev_shm(void) { int n = opens("/dev/shm/goatflow-probe", O_CREAT | O_RDWR); unlink("/dev/shm/goatflow-probe"); return n; }
static int terminal(void) { return opens("/dev/tty", O_RDWR) || opens("/dev/console", O_WRONLY) || has_entry("/dev", "pts"); }

/* Network */
static int tcp(void) { return inet(SOCK_STREAM); }
static int udp(void) { return inet(SOCK_DGRAM); }
static int socket_inet(void) { return has_socket(AF_INET, SOCK_STREAM, 0); }
static int socket_inet6(void) { return has_socket(AF_INET6, SOCK_STREAM, 0); }
static int socket_netlink(void) { return has_socket(AF_NETLINK, SOCK_RAW, 0); }
static int socket_packet(void) { return has_socket(AF_PACKET, SOCK_RAW, 0); }
static int socket_alg(void) { return has_socket(AF_ALG, SOCK_SEQPACKET, 0); }
static int socket_vsock(void) { return has_socket(AF_VSOCK, SOCK_STREAM, 0); }
static int socket_raw(void) { return has_socket(AF_INET, SOCK_RAW, 1); }
static int socket_xdp(void) { return has_socket(44, SOCK_RAW, 0); }
static int socket_high_bits(void) { long fd = syscall(SYS_socket, 0x100000000L | AF_INET, SOCK_STREAM, 0); return fd >= 0; }
static int abstract_socket(void) { return connects(planted("abstract"), 1, SOCK_STREAM); }
static int path_socket(void) { return connects(planted("socket"), 0, SOCK_STREAM); }
static int path_datagram(void) { return connects(planted("datagram"), 0, SOCK_DGRAM); }
static int pair_datagram(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int pair[2];
    if (!*planted("datagram") || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)) return 0;
    strncpy(address.sun_path, planted("datagram"), sizeof address.sun_path - 1);
    return sendto(pair[0], "x", 1, 0, (void *)&address, sizeof address) == 1;
}
static int stream_pair(int pair[2]) { return !socketpair(AF_UNIX, SOCK_STREAM, 0, pair); }
static int out_of_band(void) { int s[2]; return stream_pair(s) && send(s[0], "x", 1, MSG_OOB) == 1; }
static int socket_filter(void) {
    struct { unsigned short code; unsigned char a, b; unsigned k; } pass = {6, 0, 0, ~0U};
    struct { unsigned short n; void *p; } filter = {1, &pass};
    int s[2];
    return stream_pair(s) && !setsockopt(s[0], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}
/* Options that give a descriptor of the process at the other end: 77 at once, 76 with each message. */
static int peer_process(void) {
    int s[2], found = -1;
    socklen_t size = sizeof found;
    if (!stream_pair(s) || !setsockopt(s[0], SOL_SOCKET, 76, &(int){1}, sizeof(int))) return 1;
    for (int fd = 0; fd < 256; fd++) if (!getsockopt(fd, SOL_SOCKET, 77, &found, &size)) return 1;
    return 0;
}
/* The directory for sockets, which only plugins have. */
static const char *sockets(void) { return getenv("PLUGIN_UNIX_SOCKET_DIR") ? getenv("PLUGIN_UNIX_SOCKET_DIR") : planted("sockets"); }
static int sockets_files(void) {
    int n = 0;
    if (!*sockets()) return 0;
    while (n < 2000) { int fd = open(path_of("%s/f%d", sockets(), n), O_WRONLY | O_CREAT, 0600); if (fd < 0) break; close(fd); n++; }
    for (int i = 0; i < n; i++) unlink(path_of("%s/f%d", sockets(), i));
    return n >= 2000;
}
static int sockets_bytes(void) {
    static char block[1 << 16];
    int n = 0, fd = *sockets() ? open(path_of("%s/big", sockets()), O_WRONLY | O_CREAT, 0600) : -1;
    while (fd >= 0 && n < 32 && write(fd, block, sizeof block) == sizeof block) n++;
    unlink(path_of("%s/big", sockets()));
    close(fd);
    return n >= 32;
}
static int sockets_strange(void) {
    if (!*sockets()) return 0;
    char *p = path_of("%s/strange", sockets());
    int n = !mkfifo(p, 0600) || !symlink("/etc/passwd", p) || !link("/proc/self/exe", p) || !mknod(p, S_IFCHR | 0600, 0x103);
    unlink(p);
    return n;
}
static int sockets_rights(void) { return *sockets() && (!chmod(sockets(), 0777) || !chown(sockets(), getuid(), getgid())); }
/* Descriptors for the host, more than it can have; whoever runs this counts what it holds afterwards. */
static int give_descriptors(void) {
    struct sockaddr_un host = {.sun_family = AF_UNIX};
    union { struct cmsghdr head; char room[CMSG_SPACE(64 * sizeof(int))]; } control;
    char byte = 'x';
    struct iovec part = {&byte, 1};
    if (!*sockets()) return 0;
    snprintf(host.sun_path, sizeof host.sun_path, "%s/host@goatflow", sockets());
    for (int turn = 0; turn < 50; turn++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (void *)&host, sizeof host)) { close(fd); break; }
        for (int i = 0; i < 50; i++) {
            struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
            control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(64 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
            for (int j = 0; j < 64; j++) ((int *)CMSG_DATA(&control.head))[j] = 1;
            if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) break;
        }
        close(fd);
    }
    return 0;
}
static int uring(void) { char room[256] = {0}; return syscall(SYS_io_uring_setup, 1, room) >= 0; }
static int old_aio(void) { unsigned long context = 0; return !syscall(SYS_io_setup, 1, &context); }

/* Processes */
static int signal_host(void) { return !kill(host(), 0); }
static int signal_all(void) { return !kill(-1, 0); }
static int group_of_others(void) { return getpgrp() != getpid() || getsid(0) != getpid(); }
static int signal_thread(void) { return !syscall(SYS_tgkill, host(), host(), 0); }
static int signal_tkill(void) { return !syscall(SYS_tkill, host(), 0); }
static int signal_queue(void) { siginfo_t info = {.si_code = SI_QUEUE}; return !syscall(SYS_rt_sigqueueinfo, host(), 0, &info); }
static int signal_owner(void) { int fd[2]; return !pipe(fd) && !fcntl(fd[0], F_SETOWN, host()); }
static int signal_owner_ioctl(void) { int fd[2], pid = host(); return !socketpair(AF_UNIX, SOCK_STREAM, 0, fd) && !ioctl(fd[0], 0x8901, &pid); }
/* Tracing ends with the process that began it, which is a child where there can be one. */
static int traces(int request, pid_t target) {
    pid_t child = fork();
    if (child < 0) return !ptrace(request, target, 0, 0);
    if (child == 0) _exit(ptrace(request, target, 0, 0) != 0);
    int status;
    return waitpid(child, &status, 0) == child && status == 0;
}
static int attach(void) { return traces(PTRACE_SEIZE, host()); }
static int trace_me(void) { return traces(PTRACE_TRACEME, 0); }
static int attach_init(void) { return traces(PTRACE_SEIZE, 1); }
static int read_memory(void) { char byte; struct iovec here = {&byte, 1}, there = {(void *)4096, 1}; long n = process_vm_readv(host(), &here, 1, &there, 1, 0); return n >= 0 || errno == EFAULT; }
static int open_host(void) { return syscall(SYS_pidfd_open, host(), 0) >= 0; }
static int take_descriptor(void) { long fd = syscall(SYS_pidfd_open, host(), 0); return permitted(syscall(SYS_pidfd_getfd, fd, 0, 0)); }
static int enter_own(void) { int fd = open("/proc/self/ns/net", O_RDONLY); return fd >= 0 && !setns(fd, 0); }
static int enter_host(void) { int fd = open(path_of("/proc/%d/ns/uts", host()), O_RDONLY); return fd >= 0 && !setns(fd, 0); }
static int enter_parent(void) { int fd = open("/proc/1/ns/user", O_RDONLY); return fd >= 0 && permitted(setns(fd, 0)); }
static int new_users(void) { return !unshare(CLONE_NEWUSER); }
static int new_mounts(void) { return !unshare(CLONE_NEWNS); }
static int do_fork(void) { return lives(fork()); }
static int do_vfork(void) { return lives(syscall(SYS_vfork)); }
static int do_clone(void) { return lives(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }
static int clone_users(void) { return lives(syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0)); }
static int do_clone3(void) { unsigned long long a[11] = {0}; a[4] = SIGCHLD; return lives(syscall(SYS_clone3, a, sizeof a)); }
static int clone_high_bits(void) { return lives(syscall(SYS_clone, 0x100000000L | SIGCHLD, 0, 0, 0, 0)); }
static int host_limits(void) { struct rlimit l; return !prlimit(host(), RLIMIT_NOFILE, NULL, &l); }
static int raise_limit(void) { struct rlimit l; getrlimit(RLIMIT_NOFILE, &l); l.rlim_cur = l.rlim_max = l.rlim_max + 1; return !setrlimit(RLIMIT_NOFILE, &l); }
static int raise_core(void) { struct rlimit l = {1 << 20, 1 << 20}; return !setrlimit(RLIMIT_CORE, &l); }
static int nice_host(void) { return !setpriority(PRIO_PROCESS, host(), getpriority(PRIO_PROCESS, host())); }
static int realtime(void) { struct sched_param p = {1}; if (sched_setscheduler(0, SCHED_FIFO, &p)) return 0; p.sched_priority = 0; sched_setscheduler(0, SCHED_OTHER, &p); return 1; }
static int move_host(void) { cpu_set_t set; return !sched_getaffinity(host(), sizeof set, &set) && !sched_setaffinity(host(), sizeof set, &set); }
static int io_priority(void) { return !syscall(SYS_ioprio_set, 1, host(), 2 << 13 | 4); }
static int see_host(void) { return has_entry("/proc", planted("host")); }
static int robust_list(void) { void *head; size_t size; return !syscall(SYS_get_robust_list, host(), &head, &size); }
static int compare(void) { return syscall(SYS_kcmp, host(), host(), 0, 0, 0) >= 0; }
static int move_pages(void) { return syscall(SYS_move_pages, host(), 0UL, NULL, NULL, NULL, 0) >= 0; }
static int advise(void) { struct iovec v = {(void *)4096, 4096}; long fd = syscall(SYS_pidfd_open, host(), 0); return fd >= 0 && permitted(syscall(SYS_process_madvise, fd, &v, 1UL, MADV_COLD, 0)); }

/* Kernel */
static int bpf(void) { char a[128] = {0}; *(int *)a = 2; ((int *)a)[1] = 4; ((int *)a)[2] = 4; ((int *)a)[3] = 1; return syscall(SYS_bpf, 0, a, 72) >= 0; }
static int perf(void) { char a[128] = {0}; *(int *)a = 1; ((int *)a)[1] = 112; return syscall(SYS_perf_event_open, a, 0, -1, -1, 0) >= 0; }
static int faults(void) { return syscall(SYS_userfaultfd, O_NONBLOCK) >= 0; }
static int key(void) { return permitted(syscall(SYS_add_key, "user", "goatflow", "x", 1, KEY_SPEC_PROCESS_KEYRING)); }
static int keyring(void) { return permitted(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)); }
static int module(void) { return permitted(syscall(SYS_init_module, "x", 1, "")); }
static int kexec(void) { return permitted(syscall(SYS_kexec_load, 0, 0, NULL, 0xffff0000UL)); }
static int do_reboot(void) { return permitted(syscall(SYS_reboot, 1, 2, 3, NULL)); }
static int ports(void) {
#ifdef __x86_64__
    return !syscall(SYS_iopl, 3) || !syscall(SYS_ioperm, 0x80, 1, 1);
#else
    return 0;
#endif
}
static int kernel_log(void) { return syscall(SYS_syslog, 10, NULL, 0) >= 0 && syscall(SYS_syslog, 3, (char[16]){0}, 16) >= 0; }
static int set_clock(void) { struct timex t = {0}; if (adjtimex(&t) < 0) return 0; t.modes = ADJ_STATUS; return adjtimex(&t) >= 0; }
static int set_name(void) { char name[65]; return !gethostname(name, 65) && !sethostname(name, strlen(name)); }
static int fanotify(void) { return syscall(SYS_fanotify_init, 0, 0) >= 0; }
static int quota(void) { return permitted(syscall(SYS_quotactl, 0x800001 << 8, NULL, 0, NULL)); }
static int persona(void) { int old = personality(0xffffffff); if (old < 0) return 0; int n = personality(READ_IMPLIES_EXEC) >= 0; personality(old); return n; }
static int descriptor_table(void) {
#ifdef __x86_64__
    unsigned room[4] = {0};
    return permitted(syscall(SYS_modify_ldt, 1, room, sizeof room));
#else
    return 0;
#endif
}
static int type_in(void) { char c = 0; return !ioctl(0, TIOCSTI, &c); }
static int type_in_high_bits(void) { char c = 0; return syscall(SYS_ioctl, 0, 0x100000000L | TIOCSTI, &c) == 0; }
static int swap_off(void) { long n = syscall(SYS_swapoff, "/goatflow-nowhere"); return !n || errno == ENOENT; }
static int account(void) { long n = syscall(SYS_acct, "/goatflow-nowhere"); return !n || errno == ENOENT || errno == EROFS; }
static int tree(void) { return syscall(SYS_open_tree, AT_FDCWD, "/", 1) >= 0; }
static int new_fs(void) { return syscall(SYS_fsopen, "tmpfs", 0) >= 0; }
static int move(void) { return permitted(syscall(SYS_move_mount, -1, "/", -1, "/tmp", 0)); }
static int old_interface(void) {
#ifdef __x86_64__
    long n;
    __asm__ volatile("int $0x80" : "=a"(n) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
    return n > 0;
#else
    return 0;
#endif
}
static int x32_interface(void) { return syscall(0x40000000 + SYS_getpid) > 0; }
static int pinned(void) { return syscall(SYS_vmsplice, -1, NULL, 0, 0) >= 0 || errno == EBADF; }
static int own_filter(void) { struct { unsigned short code; unsigned char a, b; unsigned k; } i = {6, 0, 0, 0x7fff0000}; struct { unsigned short n; void *p; } f = {1, &i}; return syscall(SYS_seccomp, 1, 8, &f) >= 0; }
static int secret_memory(void) { return syscall(447, 0) >= 0; }

/* Rights */
static int capabilities(void) { unsigned head[2] = {0x20080522, 0}, sets[6] = {0}; return !syscall(SYS_capget, head, sets) && (sets[0] | sets[1] | sets[3] | sets[4]); }
static int take_capabilities(void) { unsigned head[2] = {0x20080522, 0}, sets[6] = {1 << 21, 1 << 21}; return !syscall(SYS_capset, head, sets); }
static int privileges(void) { return !contains("/proc/self/status", "NoNewPrivs:\t1"); }
static int unfiltered(void) { return !contains("/proc/self/status", "Seccomp:\t2"); }
static int become_root(void) { return !setuid(0) || !setresuid(0, 0, 0); }
static int groups(void) { gid_t none = 0; return !setgroups(1, &none); }
static int keep_alive(void) { return !prctl(PR_SET_PDEATHSIG, 0); }
static int let_trace(void) { return !prctl(PR_SET_PTRACER, -1); }
static int ambient(void) { return permitted(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0)); }
static int set_mm(void) { return permitted(prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0)); }
static int write_execute(void) { return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED; }
static int gain_execute(void) { void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); return p != MAP_FAILED && !mprotect(p, 4096, PROT_READ | PROT_EXEC); }

/* Resources */
static int memory(int flags) {
    size_t size = 2UL << 30;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return 0;
    for (size_t at = 0; at < size; at += 4096) p[at] = 1;
    munmap(p, size);
    return 1;
}
static int much_memory(void) { return memory(MAP_PRIVATE); }
static int shared_memory(void) { return memory(MAP_SHARED); }
static int many_descriptors(void) { static int made[2000]; int n = 0; while (n < 2000 && (made[n] = dup(0)) >= 0) n++; for (int i = 0; i < n; i++) close(made[i]); return n >= 2000; }
/* A thread with descriptors of its own, which a limit on each table does not count together. */
static int leaves(void *unused) { syscall(SYS_exit, 0); return 0; }
static int more_tables(void) { static char stack[16384] __attribute__((aligned(16))); return clone(leaves, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD, NULL) > 0; }
static int own_table(void) { return !syscall(SYS_close_range, 2000000U, 2000001U, 2U); }
/* Memory that no process shows: its pages are given away, but not given back. */
static int zero_memory(void) {
    size_t size = 2UL << 30, step = 1 << 20;
    int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    char *p = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (p == MAP_FAILED) return 0;
    for (size_t at = 0; at < size; at += step) { memset(p + at, 1, step); madvise(p + at, step, MADV_DONTNEED); }
    munmap(p, size);
    return 1;
}
/* Two gigabytes of tables for memory that is not there. */
static int table_memory(void) {
    size_t size = 1UL << 40;
    volatile char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return 0;
    madvise((void *)p, size, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < size; at += 2 << 20) (void)p[at];
    munmap((void *)p, size);
    return 1;
}
/* What waits in sockets is in no process's memory. */
static int buffer_memory(void) {
    static char block[1 << 20];
    static int made[100][2];
    size_t total = 0;
    int n = 0, size = 1 << 30;
    for (; n < 100 && total < 1UL << 30 && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, made[n]); n++)
        for (int end = 0; end < 2; end++) {
            setsockopt(made[n][end], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
            for (ssize_t sent; total < 1UL << 30 && (sent = send(made[n][end], block, sizeof block, MSG_NOSIGNAL)) > 0;) total += sent;
        }
    while (n-- > 0) { close(made[n][0]); close(made[n][1]); }
    return total >= 1UL << 30;
}
/* Connections that nobody accepted yet hold what was sent over them, without a descriptor. */
static int queue_memory(void) {
    static char block[200000];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t total = 0, most = 400UL << 20;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/queue", scratch);
    unlink(address.sun_path);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0 || bind(server, (void *)&address, sizeof address) || listen(server, 1 << 20)) { close(server); return 0; }
    while (total < most) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int connected = fd >= 0 && !connect(fd, (void *)&address, sizeof address);
        for (ssize_t sent; connected && (sent = send(fd, block, sizeof block, MSG_NOSIGNAL)) > 0;) total += sent;
        close(fd);
        if (!connected) break;
    }
    close(server);
    unlink(address.sun_path);
    return total >= most;
}
static int huge_pages(void) { void *p = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0); return p != MAP_FAILED || errno != EPERM; }
/* Any number of locks on one file, in memory that the kernel counts to nobody. */
static int range_locks(void) {
    char *p = path_of("%s/locked", scratch);
    struct flock lock = {.l_type = F_WRLCK, .l_start = 2, .l_len = 1};
    int fd = open(p, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int n = fd >= 0 && (!fcntl(fd, F_SETLK, &lock) || !fcntl(fd, F_OFD_SETLK, &lock) || !fcntl(fd, F_SETLKW, &lock) || !fcntl(fd, F_OFD_SETLKW, &lock));
    int e = errno;
    unlink(p);
    close(fd);
    errno = e;
    return n;
}
static int big_file(void) {
    char *p = path_of("%s/big", scratch);
    static char block[1 << 20];
    int fd = open(p, O_WRONLY | O_CREAT, 0600), n = 0;
    signal(SIGXFSZ, SIG_IGN);
    while (fd >= 0 && n < 300 && write(fd, block, sizeof block) == sizeof block) n++;
    unlink(p);
    close(fd);
    return n >= 300;
}
static int many_files(void) {
    int n = 0;
    while (n < 20000) { int fd = open(path_of("%s/f%d", scratch, n), O_WRONLY | O_CREAT, 0600); if (fd < 0) break; close(fd); n++; }
    for (int i = 0; i < n; i++) unlink(path_of("%s/f%d", scratch, i));
    return n >= 20000;
}
static int many_threads(void) {
    int n = 0;
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    while (n < 1000 && !pthread_create(&thread, &small, sleeps, NULL)) n++;
    return n >= 1000;
}

/* Leaks */
static int environment(void) { return getenv("GOATFLOW_PROBE_SECRET") != NULL; }
static int own_environ(void) { return contains("/proc/self/environ", "GOATFLOW_PROBE_SECRET"); }
static int old_shared_memory(void) { return shmat(atoi(planted("shm")), NULL, SHM_RDONLY) != (void *)-1; }
static int semaphores(void) { return syscall(SYS_semget, 0x60a7, 1, 01600) >= 0; }
static int message_queue(void) { return syscall(SYS_msgget, 0x60a7, 01600) >= 0; }
static int posix_queue(void) { int n = syscall(SYS_mq_open, "goatflow", O_CREAT | O_RDWR, 0600, NULL) >= 0; syscall(SYS_mq_unlink, "goatflow"); return n; }
static int machine_name(void) { char name[65] = ""; return !gethostname(name, 65) && !strcmp(name, planted("name")); }

/* What must work */
static int ok_threads(void) { pthread_t t; for (int i = 0; i < 200; i++) if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL)) return 0; return 1; }
static int ok_scratch(void) { char *p = path_of("%s/ok", scratch), *q = path_of("%s/ok2", scratch); int fd = open(p, O_RDWR | O_CREAT, 0600); return fd >= 0 && write(fd, "ok", 2) == 2 && !flock(fd, LOCK_EX) && !rename(p, q) && !unlink(q); }
static int ok_socket(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", getenv("TMPDIR") ? getenv("TMPDIR") : scratch);
    unlink(address.sun_path);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    return server >= 0 && !bind(server, (void *)&address, sizeof address) && !listen(server, 4) && !unlink(address.sun_path);
}
static int ok_pair(void) { int s[2]; char c; return !socketpair(AF_UNIX, SOCK_STREAM, 0, s) && send(s[0], "x", 1, 0) == 1 && recv(s[1], &c, 1, 0) == 1; }
static int ok_null(void) { return opens("/dev/null", O_WRONLY) && opens("/dev/urandom", O_RDONLY); }
static int ok_status(void) { return opens("/proc/self/status", O_RDONLY) && has_entry("/proc/self/fd", "1"); }
static int ok_events(void) { int e = epoll_create1(0), v = eventfd(1, 0); struct epoll_event event = {.events = EPOLLIN}; return !epoll_ctl(e, EPOLL_CTL_ADD, v, &event) && epoll_wait(e, &event, 1, 1000) == 1; }
static volatile sig_atomic_t caught;
static void catch_it(int number) { caught = number; }
static int ok_signals(void) { signal(SIGUSR1, catch_it); return !raise(SIGUSR1) && caught == SIGUSR1 && !kill(getpid(), SIGUSR1); }
static int ok_timer(void) { struct itimerspec t = {.it_value.tv_nsec = 1000000}; int fd = timerfd_create(CLOCK_MONOTONIC, 0); unsigned long long n; return !timerfd_settime(fd, 0, &t, NULL) && read(fd, &n, 8) == 8; }
static int ok_memory(void) { char *p = malloc(64 << 20); if (!p) return 0; memset(p, 1, 64 << 20); free(p); return 1; }
static int ok_input(void) { char c; return read(0, &c, 1) == 0; }
static int ok_random(void) { long n; return syscall(SYS_getrandom, &n, sizeof n, 0) == sizeof n; }

static const struct { const char *name; int (*try)(void); } ATTEMPTS[] = {
#define A(name) {#name, name}
    A(etc_passwd), A(etc_shadow), A(list_root), A(write_root), A(write_vartmp), A(planted_file), A(host_environ),
    A(init_environ), A(host_memory), A(host_maps), A(host_fds), A(host_root), A(init_root), A(self_root), A(parent_cwd),
    A(sys_write), A(sysrq), A(block), A(kmsg), A(mem), A(kcore), A(kallsyms), A(machine_cmdline), A(sysfs), A(mounts),
    A(cgroups), A(char_device), A(block_device), A(do_mount), A(do_umount), A(remount), A(do_chroot), A(handle),
    A(raw_handle), A(leaked_descriptor), A(leaked_directory), A(shell), A(map_dropped), A(second_stage), A(exec_again),
    A(exec_guess), A(write_image), A(write_own_text), A(write_adj), A(link_image), A(follow_link), A(climb),
    A(change_mode), A(change_owner), A(change_times), A(change_attribute), A(watch), A(nameless), A(dev_shm), A(terminal),
    A(tcp), A(udp), A(socket_inet), A(socket_inet6), A(socket_netlink), A(socket_packet), A(socket_alg), A(socket_vsock),
    A(socket_raw), A(socket_xdp), A(socket_high_bits), A(abstract_socket), A(path_socket), A(path_datagram), A(uring),
    A(old_aio), A(signal_host), A(signal_all), A(signal_thread), A(signal_tkill), A(signal_queue), A(signal_owner),
    A(signal_owner_ioctl), A(attach), A(attach_init), A(trace_me), A(read_memory), A(open_host), A(take_descriptor),
    A(enter_own), A(enter_host), A(enter_parent), A(new_users), A(new_mounts), A(do_fork), A(do_vfork), A(do_clone),
    A(clone_users), A(do_clone3), A(clone_high_bits), A(host_limits), A(raise_limit), A(raise_core), A(nice_host),
    A(realtime), A(move_host), A(io_priority), A(see_host), A(robust_list), A(compare), A(move_pages), A(advise), A(bpf),
    A(perf), A(faults), A(key), A(keyring), A(module), A(kexec), A(do_reboot), A(ports), A(kernel_log), A(set_clock),
    A(set_name), A(fanotify), A(quota), A(persona), A(descriptor_table), A(type_in), A(type_in_high_bits), A(swap_off),
    A(account), A(tree), A(new_fs), A(move), A(old_interface), A(x32_interface), A(pinned), A(own_filter),
    A(secret_memory), A(capabilities), A(take_capabilities), A(privileges), A(unfiltered), A(become_root), A(groups),
    A(keep_alive), A(let_trace), A(ambient), A(set_mm), A(write_execute), A(gain_execute), A(much_memory),
    A(shared_memory), A(many_descriptors), A(big_file), A(many_files), A(many_threads), A(environment), A(own_environ),
    A(old_shared_memory), A(semaphores), A(message_queue), A(posix_queue), A(machine_name), A(planted_stat),
    A(more_tables), A(own_table), A(zero_memory), A(table_memory), A(buffer_memory), A(queue_memory), A(huge_pages), A(range_locks), A(pair_datagram),
    A(out_of_band), A(socket_filter), A(peer_process), A(group_of_others), A(sockets_files), A(sockets_bytes),
    A(sockets_strange), A(sockets_rights), A(give_descriptors),
    A(ok_threads), A(ok_scratch), A(ok_socket), A(ok_pair), A(ok_null), A(ok_status), A(ok_events), A(ok_signals),
    A(ok_timer), A(ok_memory), A(ok_input), A(ok_random),
};

/* Makes one attempt: "open", "shut", "works" or "broken"; NULL for a number that is none. */
const char *probe_attempt(int number, int count, char **list) {
    if (number < 0 || number >= (int)(sizeof ATTEMPTS / sizeof *ATTEMPTS)) return NULL;
    argument_count = count;
    arguments = list;
    scratch = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    if (chdir(scratch)) {}
    errno = 0;
    int succeeded = ATTEMPTS[number].try();
    return !strncmp(ATTEMPTS[number].name, "ok_", 3) ? (succeeded ? "works" : "broken") : (succeeded ? "open" : "shut");
}

const char *probe_name(int number) {
    return number >= 0 && number < (int)(sizeof ATTEMPTS / sizeof *ATTEMPTS) ? ATTEMPTS[number].name : NULL;
}

#ifndef PROBE_IN_PLUGIN
int main(int count, char **list) {
    int total = sizeof ATTEMPTS / sizeof *ATTEMPTS;
    for (int i = count > 1 ? atoi(list[1]) : 0; i < total; i++) {
        /* Said before, so that the one that ends the process is known. */
        dprintf(1, "%d %s ", i, ATTEMPTS[i].name);
        const char *outcome = probe_attempt(i, count, list);
        dprintf(1, "%s %d\n", outcome, errno);
        /* Sleeping threads would be in the way of the rest. */
        if (!strcmp(ATTEMPTS[i].name, "many_threads")) _exit(0);
    }
    dprintf(1, "end\n");
    return 0;
}
#endif
