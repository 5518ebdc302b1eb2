#pragma once

/// Called by Swift's runtime, if it is set, with each job that has no executor of its own. NIO looks it up by name at run time, which
/// finds nothing where the runtime is linked into the program.
extern void *swift_task_enqueueGlobal_hook;

static inline void task_hook_set(void *hook) { swift_task_enqueueGlobal_hook = hook; }
