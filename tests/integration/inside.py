# SPDX-License-Identifier: ISC
"""Makes a process that runs do a system call, by ptrace, as root.

    with Inside(pid) as inside:
        inside.call(SYS["openat"], AT_FDCWD, address, 0)    # -13, say

What a process may do is asked of itself, as it is installed and as it is at
that moment. Killed is raised where the kernel ended it for the call.
"""

import ctypes
import os
import platform
import signal

from agent import until

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                        ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long
SINGLESTEP, GETREGS, SETREGS, DETACH = 9, 12, 13, 17
SEIZE, INTERRUPT = 0x4206, 0x4207
ALL_CHILDREN = 0x40000000   # __WALL
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi "
             "orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()
ARGUMENTS = "rdi rsi rdx r10 r8 r9".split()
SYSCALL = b"\x0f\x05"
SUPPORTED = platform.machine() == "x86_64"
SYS = {"write": 1, "open": 2, "mmap": 9, "socket": 41, "connect": 42, "bind": 49,
       "fork": 57, "execve": 59, "kill": 62, "ptrace": 101, "unlink": 87,
       "prctl": 157, "mount": 165, "add_key": 248, "request_key": 249,
       "keyctl": 250, "unshare": 272, "perf_event_open": 298,
       "process_vm_readv": 310, "bpf": 321, "execveat": 322,
       "userfaultfd": 323, "io_uring_setup": 425, "getpid": 39}


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulong) for name in REGISTERS]


class Killed(Exception):
    pass


class Inside:
    def __init__(self, pid):
        self.pid = pid
        self.before = Registers()
        self.gone = False

    def trace(self, what, data=None):
        if LIBC.ptrace(what, self.pid, None, data) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {what}")

    def __enter__(self):
        until(self.stopped, why="it never sleeps")
        return self

    def stopped(self):
        """Stop it; true if it sleeps in a system call."""
        self.trace(SEIZE)
        self.trace(INTERRUPT)
        os.waitpid(self.pid, ALL_CHILDREN)
        self.trace(GETREGS, ctypes.addressof(self.before))
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            memory.seek(self.before.rip - 2)
            if memory.read(2) == SYSCALL and self.before.orig_rax < 1 << 31:
                return True
        self.trace(DETACH)
        return False

    def __exit__(self, *error):
        if not self.gone:
            # It goes on with what it was interrupted in.
            self.trace(SETREGS, ctypes.addressof(self.before))
            self.trace(DETACH)

    def text(self, words, at=1024):
        """Put below its stack; the address of it."""
        address = (self.before.rsp - 8192 - at) & ~15
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(address)
            memory.write(words.encode() + b"\0" * 8)
        return address

    def call(self, name, *arguments):
        """What the call gives back: a number, or minus an errno."""
        regs = Registers.from_buffer_copy(self.before)
        regs.rip -= 2           # where it sleeps is behind a syscall
        regs.rax = SYS[name]
        regs.orig_rax = ctypes.c_ulong(-1).value
        for register in ARGUMENTS:
            setattr(regs, register, 0)
        for register, value in zip(ARGUMENTS, arguments):
            setattr(regs, register, ctypes.c_ulong(value).value)
        self.trace(SETREGS, ctypes.addressof(regs))
        self.trace(SINGLESTEP)
        _, status = os.waitpid(self.pid, ALL_CHILDREN)
        if os.WIFSIGNALED(status):
            self.gone = True
            assert os.WTERMSIG(status) == signal.SIGSYS, status
            raise Killed(name)
        assert os.WIFSTOPPED(status), status
        self.trace(GETREGS, ctypes.addressof(regs))
        return ctypes.c_long(regs.rax).value
