"""`godkaiser demo`: the gateway with a broker and a simulated greenhouse, without any set-up."""
