// The library's constants that are computed, made before anything else is done with them.
//
// Swift makes a global at its first use, under a lock that holds the number of the thread as it was first seen in the process. In a
// forked child that number is the parent's: if two threads come to such a lock, both wait for ever. So the first call of
// a process makes all of them under a lock that survives a fork, and nobody comes to Swift's.
import CSupport
import KVSieveCore
import KVSieveMethods

func makeGlobals() {
    support_once {
        _ = instructionSet  // of the kernels in use; begins BLAS where they have its products
        _ = kernelTables.count
        _ = Registry.rows.count
        _ = Registry.methods.count
        _ = buildInfo
    }
}
