// The library's constants that are computed, made before anything else is done with them.
//
// Swift makes a global at its first use, under a lock that holds the number of the thread as it was first seen in the process. In a
// forked child that number is the parent's: if two threads come to such a lock, both wait for ever. So the first call of
// a process makes all of them under a lock that survives a fork, and nobody comes to Swift's.
import CSupport
import KVSieveCore
import KVSieveMethods

/// False if there was no memory for it: the next call tries again.
func makeGlobals() -> Bool {
    support_once(needOfGlobals) { _ in
        _ = instructionSet  // of the kernels in use; begins BLAS where they have its products
        _ = kernelTables.count
        _ = Registry.rows.count
        _ = Registry.methods.count
        _ = buildInfo
        // Its sentence is a list of strings.
        _ = try? Registry.method(-1)
        _ = Shared.shape.count + Shared.attention.count
    } == 1
}

/// Bytes that the Swift runtime may ask for.
let needOfGlobals = 96 << 10

/// Runs what cannot fail.
func withGlobals<Result>(_ body: () -> Result) -> Result {
    let mode = support_exchange_mode(support_default_mode())
    defer { _ = support_exchange_mode(mode) }
    var call = support_call()
    let begun = support_call_begin(&call, needOfCall) == 1
    defer { if begun { support_call_end(&call) } }
    _ = makeGlobals()
    return body()
}
