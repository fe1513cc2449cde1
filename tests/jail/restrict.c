/* Runs a program on a machine that offers less: the system calls that the first argument names fail as they do there.
 *
 *   restrict WHAT[,WHAT...] PROGRAM [ARGUMENT...]
 *
 * users       no user namespaces: clone answers EPERM, as in containers
 * namespaces  no namespaces of any kind
 * landlock    a kernel without Landlock
 * seccomp     a kernel without system call filters
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STOP(code, value) (struct sock_filter){code, 0, 0, value}
#define FAIL(number) STOP(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (number))
#define LOAD_NUMBER STOP(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define LOAD_FIRST STOP(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]))
#define SKIP_UNLESS(value, count) (struct sock_filter){BPF_JMP | BPF_JEQ | BPF_K, 0, count, value}
#define SKIP_UNLESS_ANY(bits, count) (struct sock_filter){BPF_JMP | BPF_JSET | BPF_K, 0, count, bits}

static struct sock_filter program[64];
static unsigned short length;

static void flags_of(unsigned number, unsigned bits) {
    struct sock_filter part[] = {LOAD_NUMBER, SKIP_UNLESS(number, 3), LOAD_FIRST, SKIP_UNLESS_ANY(bits, 1), FAIL(EPERM)};
    memcpy(program + length, part, sizeof part);
    length += 5;
}
static void always(unsigned number, int error) {
    struct sock_filter part[] = {LOAD_NUMBER, SKIP_UNLESS(number, 1), FAIL(error)};
    memcpy(program + length, part, sizeof part);
    length += 3;
}

int main(int count, char **list) {
    if (count < 3) return 64;
    unsigned all = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    for (char *what = strtok(list[1], ","); what; what = strtok(NULL, ",")) {
        if (!strcmp(what, "users")) flags_of(SYS_clone, CLONE_NEWUSER);
        else if (!strcmp(what, "namespaces")) flags_of(SYS_clone, all), flags_of(SYS_unshare, all);
        else if (!strcmp(what, "landlock")) always(SYS_landlock_create_ruleset, ENOSYS);
        else if (!strcmp(what, "seccomp")) always(SYS_seccomp, ENOSYS);
        else return 64;
    }
    program[length++] = STOP(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {length, program};
    /* Root needs no promise for a filter, and would pass it on. */
    if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 65;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)) return 66;
    execv(list[2], list + 2);
    return 67;
}
