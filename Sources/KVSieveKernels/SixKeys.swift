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

/// All keys of a product.
protocol KeyColumns {
    associatedtype Six: SixKeys

    /// Column j's.
    func key(_ j: Int) -> UnsafePointer<Float>
    /// Where those of six columns from j on are.
    func six(_ j: Int, isAsked: Bool) -> Six
}

struct StridedColumns: KeyColumns {
    let first: UnsafePointer<Float>
    let stride: Int

    @inline(__always) func key(_ j: Int) -> UnsafePointer<Float> { first + j &* stride }
    @inline(__always) func six(_ j: Int, isAsked: Bool) -> StridedKeys { StridedKeys(key(j), stride, isAsked: isAsked) }
}

struct PlacedColumns: KeyColumns {
    let first: UnsafePointer<Float>
    let places: UnsafePointer<Int>

    @inline(__always) func key(_ j: Int) -> UnsafePointer<Float> { first + places[j] }
    @inline(__always) func six(_ j: Int, isAsked: Bool) -> PlacedKeys { PlacedKeys(places + j, isAsked: isAsked) }
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
    private let places: UnsafePointer<Int>
    private var line = 0
    var isAsked: Bool

    @inline(__always) init(_ places: UnsafePointer<Int>, isAsked: Bool) {
        let first = places[0]
        b = places[1] &- first
        c = places[2] &- first
        d = places[3] &- first
        e = places[4] &- first
        f = places[5] &- first
        self.places = places
        self.isAsked = isAsked
    }

    @inline(__always)
    mutating func ask(_ key: UnsafePointer<Float>) {
        if isAsked { return }
        let origin = key + (0 &- places[0])
        support_prefetch(origin + places[6])
        support_prefetch(origin + places[7])
        support_prefetch(origin + places[8])
        support_prefetch(origin + places[9])
        support_prefetch(origin + places[10])
        support_prefetch(origin + places[11])
        if line < 6 { support_prefetch(origin + places[12 &+ line]) }
        line &+= 1
    }
}
