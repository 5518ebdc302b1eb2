import Foundation

/// An nginx of this run's own: one worker, connections to the server behind it kept open.
final class Nginx {
    let port: Int
    private let process: ChildProcess

    /// - Parameters:
    ///   - upstream: the port of the server behind it.
    ///   - hasFirewall: whether libmodsecurity judges each request, by the same rules as the gateway.
    init(in folder: String, port: Int, upstream: Int, hasFirewall: Bool = false) throws {
        self.port = port
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if hasFirewall { try Nginx.rules.write(toFile: "\(folder)/rules.conf", atomically: true, encoding: .utf8) }
        try """
        \(hasFirewall ? "load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;" : "")
        worker_processes 1;
        daemon off;
        pid \(folder)/pid;
        error_log \(folder)/errors;
        events { worker_connections 4096; }
        http {
            access_log off;
            \(hasFirewall ? "modsecurity on; modsecurity_rules_file \(folder)/rules.conf;" : "")
            client_body_temp_path \(folder)/body;
            proxy_temp_path \(folder)/proxy;
            fastcgi_temp_path \(folder)/fastcgi;
            uwsgi_temp_path \(folder)/uwsgi;
            scgi_temp_path \(folder)/scgi;
            keepalive_requests 1000000000;
            upstream behind { server 127.0.0.1:\(upstream); keepalive 256; keepalive_requests 1000000000; }
            server {
                listen 127.0.0.1:\(port) backlog=4096;
                location / {
                    proxy_pass http://behind;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_set_header Host $host;
                    proxy_set_header X-Forwarded-For $remote_addr;
                }
            }
        }

        """.write(toFile: "\(folder)/nginx.conf", atomically: true, encoding: .utf8)
        process = try ChildProcess(["/usr/sbin/nginx", "-c", "\(folder)/nginx.conf", "-e", "\(folder)/errors"], output: "\(folder)/output")
    }

    /// The Core Rule Set with the methods and types of this API, without what only judges answers or counts addresses.
    private static let rules = """
        SecRuleEngine On
        SecRequestBodyAccess On
        SecResponseBodyAccess Off
        SecAuditEngine Off
        SecRequestBodyLimit 16777216
        SecArgumentsLimit 256
        SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:10000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
        SecAction "id:10004,phase:1,nolog,pass,t:none,setvar:tx.crs_setup_version=334,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE'"
        Include /usr/share/modsecurity-crs/rules/REQUEST-901-*.conf
        Include /usr/share/modsecurity-crs/rules/REQUEST-911-*.conf
        Include /usr/share/modsecurity-crs/rules/REQUEST-913-*.conf
        Include /usr/share/modsecurity-crs/rules/REQUEST-92*.conf
        Include /usr/share/modsecurity-crs/rules/REQUEST-93*.conf
        Include /usr/share/modsecurity-crs/rules/REQUEST-94*.conf
        SecRuleRemoveById 901321 949100 920350

        """

    func stop() {
        process.stop()
    }
}
