/* Items of work -> done, by the caller and by helper threads. For C that ctypes loads.

   The caller works through the items itself; helpers that are awake in time take some of them. So
   waking one is never waited for, only an item that it has begun. Helpers sleep between two calls:
   the model's own threads need the cores then. */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HELPER_STACK (1 << 19) /* bytes; musl's default is less than what the kernels may need */

/* worker is below the number of threads, and differs between those that work at the same time. */
typedef void (*Work)(const void *call, int item, int worker);

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

typedef SRWLOCK Lock;
typedef CONDITION_VARIABLE Signal;
#define NEW_LOCK SRWLOCK_INIT
#define NEW_SIGNAL CONDITION_VARIABLE_INIT

static void lock(Lock *l) { AcquireSRWLockExclusive(l); }
static int try_lock(Lock *l) { return TryAcquireSRWLockExclusive(l); }
static void unlock(Lock *l) { ReleaseSRWLockExclusive(l); }
static void wait_for(Signal *s, Lock *l) { SleepConditionVariableSRW(s, l, INFINITE, 0); }
static void wake_all(Signal *s) { WakeAllConditionVariable(s); }
static void let_others_run(void) { SwitchToThread(); }
static int process(void) { return 0; } /* no process is ever a copy of another */

typedef DWORD Ended;
#define THREAD_CALL WINAPI

static int start_thread(Ended(THREAD_CALL *run)(void *), void *argument) {
    DWORD flags = STACK_SIZE_PARAM_IS_A_RESERVATION;
    HANDLE thread = CreateThread(NULL, HELPER_STACK, run, argument, flags, NULL);
    if (thread == NULL) return 0;
    CloseHandle(thread);
    return 1;
}
#else
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

typedef pthread_mutex_t Lock;
typedef pthread_cond_t Signal;
#define NEW_LOCK PTHREAD_MUTEX_INITIALIZER
#define NEW_SIGNAL PTHREAD_COND_INITIALIZER

static void lock(Lock *l) { pthread_mutex_lock(l); }
static int try_lock(Lock *l) { return pthread_mutex_trylock(l) == 0; }
static void unlock(Lock *l) { pthread_mutex_unlock(l); }
static void wait_for(Signal *s, Lock *l) { pthread_cond_wait(s, l); }
static void wake_all(Signal *s) { pthread_cond_broadcast(s); }
static void let_others_run(void) { sched_yield(); }
static int process(void) { return (int)getpid(); }

typedef void *Ended;
#define THREAD_CALL

static int start_thread(Ended (*run)(void *), void *argument) {
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before; /* signals are for the threads that Python knows */
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, HELPER_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return !failed;
}
#endif

static struct {
    Lock lock;
    Signal wake;
    int helpers, owner;
    Work work;
    const void *call;
    int count, threads;
    uint32_t generation;
} pool = {.lock = NEW_LOCK, .wake = NEW_SIGNAL};
static Lock one_caller = NEW_LOCK;
static _Atomic uint64_t ticket; /* the generation, and the next item of it */
static _Atomic int done;

/* Does items of one generation until none is left. A helper that comes late finds another
   generation and takes nothing. */
static void take_items(Work work, const void *call, int count, uint32_t generation, int worker) {
    uint64_t now = atomic_load(&ticket);
    while (now >> 32 == generation && (int)(uint32_t)now < count) {
        if (!atomic_compare_exchange_weak(&ticket, &now, now + 1)) continue;
        work(call, (int)(uint32_t)now, worker);
        atomic_fetch_add(&done, 1);
        now = atomic_load(&ticket);
    }
}

static Ended THREAD_CALL help(void *number) {
    int worker = (int)(intptr_t)number;
    uint32_t seen = 0;
    for (;;) {
        lock(&pool.lock);
        while (pool.generation == seen) wait_for(&pool.wake, &pool.lock);
        seen = pool.generation;
        Work work = pool.work;
        const void *call = pool.call;
        int count = pool.count, threads = pool.threads;
        unlock(&pool.lock);
        if (worker < threads) take_items(work, call, count, seen, worker);
    }
    return 0;
}

/* Makes sure of so many helpers, called under one_caller. After a fork there are none. */
static void gather_helpers(int wanted) {
    if (pool.owner != process()) {
        pool.lock = (Lock)NEW_LOCK;
        pool.wake = (Signal)NEW_SIGNAL;
        pool.helpers = 0;
        pool.owner = process();
    }
    while (pool.helpers < wanted && start_thread(help, (void *)(intptr_t)(pool.helpers + 1)))
        pool.helpers++;
}

/* Does all items. Another caller's at the same time are done by that one alone. */
static void each(Work work, const void *call, int count, int threads) {
    if (threads < 2 || count < 2 || !try_lock(&one_caller)) {
        for (int item = 0; item < count; item++) work(call, item, 0);
        return;
    }
    gather_helpers(threads - 1);
    lock(&pool.lock);
    uint32_t generation = ++pool.generation;
    pool.work = work;
    pool.call = call;
    pool.count = count;
    pool.threads = threads;
    atomic_store(&done, 0);
    atomic_store(&ticket, (uint64_t)generation << 32);
    wake_all(&pool.wake);
    unlock(&pool.lock);
    take_items(work, call, count, generation, 0);
    for (int spins = 0; atomic_load(&done) < count; spins++)
        if (spins > 1000) let_others_run();
    unlock(&one_caller);
}
