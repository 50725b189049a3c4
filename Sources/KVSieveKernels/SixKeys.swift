// Where the keys are that LogitBlock multiplies together, and which of the later ones are prefetched meanwhile.
//
// While sixteen numbers of six keys are multiplied, a line of each of the next six is prefetched (all lines at once would fill the
// processor's queue of misses and stop it), and a first line of one of the six after those. Token-major keys are a page or more
// apart, and six pages looked up at once would stop the loop as well: this way each page is known before its lines are prefetched.
// The addresses may be past the last key: a prefetch never faults.

import CSupport

/// Floats from the first key to the five others.
protocol SixKeys {
    var b: Int { get }
    var c: Int { get }
    var d: Int { get }
    var e: Int { get }
    var f: Int { get }
    /// Were the later keys prefetched already?
    var isAsked: Bool { get set }

    /// Prefetches for the line of the first key that begins at `key`.
    mutating func ask(_ key: UnsafePointer<Float>)
}

/// Keys `stride` floats apart.
struct StridedKeys: SixKeys {
    private let stride: Int
    private var page: UnsafePointer<Float>
    var isAsked: Bool

    @inline(__always) init(_ first: UnsafePointer<Float>, _ stride: Int, isAsked: Bool) {
        self.stride = stride
        self.isAsked = isAsked
        page = first + 12 &* stride
    }

    var b: Int { @inline(__always) get { stride } }
    var c: Int { @inline(__always) get { 2 &* stride } }
    var d: Int { @inline(__always) get { 3 &* stride } }
    var e: Int { @inline(__always) get { 4 &* stride } }
    var f: Int { @inline(__always) get { 5 &* stride } }

    @inline(__always)
    mutating func ask(_ key: UnsafePointer<Float>) {
        if isAsked { return }
        let next = key + 6 &* stride
        support_prefetch(next)
        support_prefetch(next + stride)
        support_prefetch(next + 2 &* stride)
        support_prefetch(next + 3 &* stride)
        support_prefetch(next + 4 &* stride)
        support_prefetch(next + 5 &* stride)
        support_prefetch(page)
        page += stride
    }
}

/// Keys whose places are in a table, which goes on for twelve keys after these six.
struct PlacedKeys: SixKeys {
    let b: Int
    let c: Int
    let d: Int
    let e: Int
    let f: Int
    private let places: UnsafePointer<Int64>
    private var line = 0
    var isAsked: Bool

    @inline(__always) init(_ places: UnsafePointer<Int64>, isAsked: Bool) {
        let first = places[0]
        b = Int(places[1] &- first)
        c = Int(places[2] &- first)
        d = Int(places[3] &- first)
        e = Int(places[4] &- first)
        f = Int(places[5] &- first)
        self.places = places
        self.isAsked = isAsked
    }

    @inline(__always)
    mutating func ask(_ key: UnsafePointer<Float>) {
        if isAsked { return }
        let origin = key - Int(places[0])
        support_prefetch(origin + Int(places[6]))
        support_prefetch(origin + Int(places[7]))
        support_prefetch(origin + Int(places[8]))
        support_prefetch(origin + Int(places[9]))
        support_prefetch(origin + Int(places[10]))
        support_prefetch(origin + Int(places[11]))
        if line < 6 { support_prefetch(origin + Int(places[12 &+ line])) }
        line &+= 1
    }
}
