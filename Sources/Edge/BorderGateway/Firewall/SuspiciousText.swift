/// What values are looked through for: letters that could be part of what a rule looks for, though each character is harmless.
///
/// The lists are held against the rule set itself by a test; what is on them without need costs time, and nothing else.
struct SuspiciousText: Sendable {
    /// Words of SQL that its dialects and libinjection know, and words that make one of them out of two. Of longer ones the first twelve letters.
    private static let sql = """
        _armscii _ascii _big _binary _cp _dec _eucjpms _euckr _gb _gbk _geostd _greek _hebrew _hp _keybcs _koi _latin _macce _macroman \
        _sjis _swe _tis _ujis _usc _utf abort accessible against all_users alter analyze and anyarray anyelement anynonarry as asc \
        asensitive autoincremen before begin between bigint bigserial binary binary_doubl binary_float blob boolean both by bytea call \
        cascade case change character collate column condition constraint continue count_big create cstring current current_date \
        current_path current_serv current_time current_user cursor databases day_hour day_microsec day_minute day_second dec decimal \
        declare default delay delayed delete desc describe deterministi distinct distinctrow div double drop each else elseif enclosed \
        eqv escaped except exec execute exit explain false fetch float force foreign from fulltext function go goto grant group handler \
        having high_priorit hour_microse hour_minute hour_second if ignore in index infile inner inout insensitive insert int integer \
        intersect interval into is iterate join keys kill leading leave like limit linear lines load localtime localtimesta lock \
        longblob longtext loop low_priority master_bind master_ssl_v match maxvalue mediumblob mediumint mediumtext merge middleint \
        minute_micro minute_secon mod modifies money natural no_write_to_ not notnull nowait null numeric offset oid one_shot open \
        optimize option optionally or order outer outfile own partition precision primary print procedure purge raiseerror range read \
        read_write reads real references regclass regconfig regdictionar regexp regoper regoperator regproc regprocedure regtype \
        release rename repeat replace require resignal restrict return revoke rlike schema schemas second_micro select sensitive \
        separator serial set shutdown signal similar smallint smallserial sounds spatial specific sql sql_big_resu sql_buffer_r \
        sql_cache sql_calc_fou sql_no_cache sql_small_re sqlexception sqlstate sqlwarning ssl starting straight_joi syscolumns \
        sysobjects sysusers terminated text then time timestamp tinyblob tinyint tinytext top trigger true try uescape undo uni_on \
        union unknown unlock unsigned update usage use utc_date utc_time utc_timestam value values varbinary varchar varcharacter \
        varying void wait waitfor when where while with xor xp_execresul year_month zerofill
        """
    /// Programs that a value could begin with.
    private static let commands = """
        bash bsdcat bsdiff bsdtar builtin bzcat bzdiff bzegrep bzfgrep bzgrep bzless bzmore cc command coproc csh curl dash diff dmesg \
        doas echo egrep env eval fgrep filetest ftpstats ftpwho gcc get grep gzcat gzip head hup irb java jobs lastcomm lastlog \
        lastlogin lessecho lessfile lesspipe lftp lftpget ls lsb_release lscpu lsmod lsof lspci lsusb lwp lynx lzcat lzcmp lzdiff \
        lzegrep lzfgrep lzgrep lzless lzma lzmore mailq mlocate mysqladmin mysqldump mysqldumpslo mysqlhotcopy mysqlshow nc ncat \
        netcat netkit netstat nohup nping nstat onintr perl pftp pgrep php ping pkexec pkill popd printenv ptar ptardiff ptargrep \
        python rcp realpath rmdir rmuser rnano rsync ruby sched scp sdiff sed sendmail setenv setsid sftp sh socat source ssh strings \
        sudo svn sysctl tail tailf tar tcping tcptracerout tcsh telnet timeout traceroute uname uncompress unlzma unrar unset unxz \
        unzip useradd userdel usermod vigr vipw w wget whoami xargs xz xzcat xzcmp xzdec xzdiff xzegrep xzfgrep xzgrep xzless xzmore \
        zcat zcmp zdiff zegrep zfgrep zgrep zip zless zmore zrun zsh
        """
    /// Four characters of each text that rules look for anywhere.
    private static let pieces = """
        -enc -exe -psc d-bi d-co d-hi d-ho d-ma d-me d-ps d-se d-ty e-bi e-co e-de e-er e-ev e-ex e-fo e-hi e-ho e-it e-jo e-li e-mo \
        e-ob e-ou e-pa e-pr e-ps e-se e-tr e-ty e-va e-ve e-wa e-wm e-ws g-pr h-lo h-ob rshe m-cs m-se m-st n-pa o-cs o-ht o-se o-tr \
        o-xm p-co p-jo p-lo p-ob p-pr p-se p-tr r-co r-en r-ev r-hi r-it r-ob r-ps r-va r-wm t-ac t-al t-ap t-au t-bi t-ch t-cl t-co \
        t-cr t-cs t-cu t-da t-de t-ev t-ex t-fi t-fo t-gr t-hi t-ho t-it t-jo t-li t-lo t-me t-mo t-nu t-ob t-pa t-pf t-pr t-ps t-ra \
        t-se t-sl t-st t-ta t-tr t-ui t-un t-va t-wi t-wm t-ws t-xm w-al w-ap w-ev w-it w-mo w-ob w-ps w-se w-ti w-va w-we w-ws y-it \
        .bas .boa .bow .csh .esl .git .hta .htd .htp .ide .jsh .ksh .les .lhi .lld .loc .log .my. .mys .nan .net .nod .nsc .nsr .pea \
        .php .pro .psq .pyt .red .rhi .sh_ .sql .tcs .tra .vim .xau .yml .zhi .zsh g.js g.lo e.js k.js r.js .jso -deb nfig \
        e64_ bzde e_ch l_us t_uu t_co t_cl t_de fsoc gzde gzin gzun ude_ kear ntl_ six_ nfun ire_ ll_e _rot s_ge wp_r wp_s lib_ _hal \
        brow unio sele p_cm msys msdb ql.d pg_c pg_t pg_s n_sc thwi mpdb s.da ysau _mas a_na havi clar alte 4294 2147 2345 1e30 3858 \
        xhtm xmln mact @imp nt.c nt.w .par .inn w.lo -moz s.co js_f omch nbpr eisn nsep
        """
    /// The same, of what rules look for in all fields of the head, in the whole body, and in what no exception is made for.
    private static let piecesOfFields = """
        ava. avax g.ap .apa g.om m.su nsym runt sbui etix ratp x-sc r=12 s=0- ssus tspa hni- tidi berc n_fi kerf w00t
        """
    /// What rules look for in values after base64 was taken off. Whatever stands before it, one of three forms is in the value.
    private static let coded = ["eval", "Func", "unction", "fromCharCode", "constructor", "exports", "ND_FUNC", "js_f"]

    private let words: FixedSet<UInt64>
    private let grams: FixedSet<UInt32>

    struct Kind: OptionSet {
        let rawValue: UInt8
        static let fields = Kind(rawValue: 1)
        static let values = Kind(rawValue: 2)
        static let commands = Kind(rawValue: 4)
    }

    init() {
        func packed(_ text: String, _ kind: Kind) -> [(UInt64, UInt8)] {
            text.split(separator: " ").map { word in
                (word.utf8.prefix(Word.most).reduce(into: Word()) { $0.take($1) }.letters, kind.rawValue)
            }
        }
        words = FixedSet(packed(SuspiciousText.commands, .commands) + packed(SuspiciousText.sql, [.values, .commands]))
        func pieces(_ text: some Sequence<Substring>, _ kind: Kind) -> [(UInt32, UInt8)] {
            text.map { piece in (piece.utf8.reduce(into: Gram()) { $0.take($1) }.codes, kind.rawValue) }
        }
        grams = FixedSet(
            pieces(SuspiciousText.pieces.split(separator: " "), .values)
                + pieces(SuspiciousText.coded.flatMap(SuspiciousText.base64).map { $0[...] }, .values)
                + pieces(SuspiciousText.piecesOfFields.split(separator: " "), [.values, .fields]))
    }

    @inline(__always)
    func has(_ gram: Gram, _ kind: Kind) -> Bool { grams[gram.codes] & kind.rawValue != 0 }
    @inline(__always)
    func has(_ word: Word, _ kind: Kind) -> Bool { words[word.letters] & kind.rawValue != 0 }

    /// Four characters of base64 that a text is coded to for each of the three places where it can begin, in lower case.
    private static func base64(_ text: String) -> [String] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        return (0..<3).compactMap { offset in
            let bits = (Array(repeating: UInt8(0), count: offset) + Array(text.utf8)).flatMap { byte in
                (0..<8).map { byte >> UInt8(7 - $0) & 1 }
            }
            let first = (offset * 8 + 5) / 6
            guard (first + 4) * 6 <= bits.count else { return nil }
            let codes = (first..<first + 4).map { place in bits[place * 6..<place * 6 + 6].reduce(0) { $0 << 1 | Int($1) } }
            return String(decoding: codes.map { alphabet[$0] }, as: UTF8.self).lowercased()
        }
    }
}

/// The last four characters, whatever their case, each in six bits.
struct Gram {
    @inline(__always)
    private static func code(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 96
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - 64
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 48 + 27
        case UInt8(ascii: "-"): 37
        case UInt8(ascii: "_"): 38
        case UInt8(ascii: "."): 39
        case UInt8(ascii: "@"): 40
        case UInt8(ascii: "+"): 41
        case UInt8(ascii: "/"): 42
        default: 63
        }
    }

    private(set) var codes: UInt32 = 0

    @inline(__always)
    mutating func take(_ byte: UInt8) {
        codes = (codes << 6 | UInt32(Gram.code(byte))) & 0xff_ffff
    }
}

/// A run of letters and underscores, whatever their case: the first twelve, each in five bits.
struct Word {
    static let most = 12

    private(set) var letters: UInt64 = 0

    @inline(__always)
    mutating func take(_ byte: UInt8) {
        guard letters >> 55 == 0 else { return }
        letters = letters << 5 | (byte == UInt8(ascii: "_") ? 27 : UInt64(byte & 0x1f))
    }
}

/// Numbers with flags, none of which is zero: a hash table that never changes.
struct FixedSet<Number: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
    private let mask: Int
    private let numbers: [Number]
    private let flags: [UInt8]

    init(_ entries: [(Number, UInt8)]) {
        let size = 1 << (Int.bitWidth - (entries.count * 4).leadingZeroBitCount)
        var numbers = [Number](repeating: 0, count: size)
        var flags = [UInt8](repeating: 0, count: size)
        for (number, flag) in entries {
            var place = FixedSet.place(number, size - 1)
            while numbers[place] != 0, numbers[place] != number { place = (place + 1) & (size - 1) }
            numbers[place] = number
            flags[place] |= flag
        }
        mask = size - 1
        self.numbers = numbers
        self.flags = flags
    }

    /// The flags of a number; none where it is not there.
    @inline(__always)
    subscript(_ number: Number) -> UInt8 {
        var place = FixedSet.place(number, mask)
        while numbers[place] != 0 {
            if numbers[place] == number { return flags[place] }
            place = (place + 1) & mask
        }
        return 0
    }

    @inline(__always)
    private static func place(_ number: Number, _ mask: Int) -> Int {
        Int(truncatingIfNeeded: (UInt64(truncatingIfNeeded: number) &* 0x9e37_79b9_7f4a_7c15) >> 40) & mask
    }
}
